package postgres

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func failure(t *testing.T, err error, code fault.Code, class fault.Class, landed fault.Landed) *fault.Error {
	t.Helper()
	f := fault.As(err)
	if f == nil {
		t.Fatalf("no error, want %s", code)
	}
	if f.Code != code || f.GetClass() != class || f.Landed != landed {
		t.Errorf("%v: %s, class %s, landed %d; want %s, %s, %d", err, f.Code, f.GetClass(), f.Landed, code, class, landed)
	}
	return f
}

func Test_a_deadlock_is_transient_and_has_not_landed(t *testing.T) {
	d := newDB(t)
	d.exec(accountsDDL + "; INSERT INTO accounts VALUES (1), (2); CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1)")
	// The trigger makes the connector wait for the other session, which then waits for the connector: a deadlock.
	d.exec(`CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM FROM other FOR UPDATE; RETURN NEW; END $$;
	  CREATE TRIGGER w AFTER UPDATE ON accounts FOR EACH ROW WHEN (NEW.score = 5) EXECUTE FUNCTION wait(); ALTER ROLE CURRENT_USER RESET ALL`)
	dest := openDest(t, "dsn", d.dsn, "application_name", "deadlocked")
	app := d.connect(d.dsn)
	tx, err := app.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"SET LOCAL deadlock_timeout = '60s'", "SELECT FROM other FOR UPDATE"} { // let the connector be the victim
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error)
	go func() {
		_, err := upsert.write(t, dest, vals(num(1), txt("a"), num(5), null))
		done <- err
	}()
	d.waitFor("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'deadlocked' AND wait_event_type = 'Lock'", "1")
	appDone := make(chan error)
	go func() {
		_, err := tx.Exec(context.Background(), "UPDATE accounts SET score = 9 WHERE id = 1")
		appDone <- err
	}()
	f := failure(t, <-done, fault.DestTransient, fault.ClassTransient, fault.LandedNo)
	if !strings.Contains(f.Message, "40P01") {
		t.Error(f)
	}
	if err := <-appDone; err != nil {
		t.Error(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Error(err)
	}
	if got := d.text("SELECT score FROM accounts WHERE id = 1"); got != "9" {
		t.Errorf("score is %s", got)
	}
}

func Test_a_lock_held_too_long_is_transient(t *testing.T) {
	d := newDB(t)
	d.exec(accountsDDL + "; INSERT INTO accounts VALUES (1)")
	dest := openDest(t, "dsn", d.dsn, "lock_timeout", "50ms")
	d.exec("BEGIN; UPDATE accounts SET score = 1")
	_, err := upsert.write(t, dest, vals(num(1), txt("a"), null, null))
	failure(t, err, fault.DestTransient, fault.ClassTransient, fault.LandedNo)
	d.exec("COMMIT")
	got, err := upsert.write(t, dest, vals(num(1), txt("a"), null, null))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "after", got, []string{"updated"})
}

func Test_a_server_that_ends_connections_is_waited_out(t *testing.T) {
	d := newDB(t)
	d.exec(accountsDDL)
	dest := openDest(t, "dsn", d.dsn, "application_name", "ended")
	if _, err := upsert.write(t, dest, vals(num(1), txt("a"), null, null)); err != nil {
		t.Fatal(err)
	}
	end := "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'ended'"
	d.text(end)
	d.waitFor("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ended'", "0")
	got, err := upsert.write(t, dest, vals(num(1), txt("b"), null, null)) // the idle connection is dead and is replaced
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "after", got, []string{"updated"})
	d.exec("BEGIN; LOCK TABLE accounts")
	done := make(chan error)
	go func() {
		_, err := upsert.write(t, dest, vals(num(1), txt("c"), null, null))
		done <- err
	}()
	d.waitFor("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ended' AND wait_event_type = 'Lock'", "1")
	d.answer(d.look, end)
	failure(t, <-done, fault.DestTransient, fault.ClassTransient, fault.LandedNo)
	d.exec("ROLLBACK")
	if got := d.text("SELECT email FROM accounts"); got != "b" {
		t.Error(got)
	}
}

func Test_only_a_commit_without_an_answer_may_have_landed(t *testing.T) {
	d := newDB(t)
	d.exec(accountsDDL)
	kv := hostSettings(t, d.dsn)
	c := newCutter(t, net.JoinHostPort(kv[1], kv[3]))
	_, port, err := net.SplitHostPort(c.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	write := func(id int64, cut int) (int, error) {
		dest := openDest(t, replace(kv, "port", port)...)
		c.after <- cut
		_, err := upsert.write(t, dest, vals(num(id), null, null, null))
		_ = dest.Close()
		return <-c.passed, err
	}
	whole, err := write(0, -1)
	if err != nil {
		t.Fatal(err)
	}
	// The last answer is COMMIT's: some ParameterStatus messages, CommandComplete and ReadyForQuery.
	seen := map[fault.Landed]int{}
	for cut := whole - 120; cut < whole; cut++ {
		_, err := write(int64(cut), cut)
		f := fault.As(err)
		if f == nil {
			t.Fatalf("cut after byte %d of %d is no error", cut, whole)
		}
		seen[f.Landed]++
		there := d.text("SELECT count(*) FROM accounts WHERE id = "+num(int64(cut)).String()) == "1"
		if there && f.Landed == fault.LandedNo {
			t.Errorf("cut after byte %d of %d landed, the fault denies it: %v", cut, whole, err)
		}
		if f.GetClass() != fault.ClassTransient {
			t.Errorf("cut after byte %d: %v", cut, err)
		}
	}
	if seen[fault.LandedMaybe] < 18 || seen[fault.LandedNo] < 18 {
		t.Errorf("maybe and no: %v", seen)
	}
}

func Test_refusals_of_the_whole_write_stop_the_run(t *testing.T) {
	d := newDB(t)
	role := roleName(d)
	d.exec(accountsDDL + "; CREATE TABLE gen (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED); CREATE ROLE " + ident(role) + " LOGIN; GRANT SELECT, INSERT ON accounts TO " + ident(role))
	t.Cleanup(func() { d.exec("DROP OWNED BY " + ident(role) + "; DROP ROLE " + ident(role)) })
	host := hostSettings(t, d.dsn)
	poor := openDest(t, replace(host, "user", role)...)
	rich := openDest(t, host...)
	_, err := upsert.write(t, poor, vals(num(1), null, null, null))
	f := failure(t, err, fault.DestForbidden, fault.ClassAuth, fault.LandedNo)
	if want := `Grant the right: GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "accounts" TO ` + ident(role) + `;`; f.Fix != want {
		t.Error(f.Fix)
	}
	for _, c := range []struct {
		l    load
		code fault.Code
	}{
		{load{object: "nowhere", op: connector.OpUpsert, match: []string{"id"}}, fault.DestObjectMissing},
		{load{object: "accounts", op: connector.OpUpsert, match: []string{"ID"}}, fault.DestFieldMissing},
		{load{object: "gen", op: connector.OpUpsert, match: []string{"id"}, fields: []string{"twice"}}, fault.DestFieldReadOnly},
	} {
		row := make([]row.Value, 1+len(c.l.fields))
		_, err := c.l.write(t, rich, row)
		failure(t, err, c.code, fault.ClassConfig, fault.LandedNo)
		_, err = c.l.stage(t, rich, nil, row)
		failure(t, err, c.code, fault.ClassConfig, fault.LandedNo)
	}
	_, err = openDest(t, replace(host, "user", "nobody")...).Check(t.Context())
	failure(t, err, fault.DestAuth, fault.ClassAuth, fault.LandedNo)
	_, err = openDest(t, replace(host, "port", "1")...).Check(t.Context())
	failure(t, err, fault.DestUnreachable, fault.ClassTransient, fault.LandedNo)
	acc, err := rich.Check(t.Context())
	if err != nil || !strings.HasSuffix(acc.ID, "/"+d.name()) || !strings.HasPrefix(acc.Version, "PostgreSQL ") {
		t.Errorf("%v, %v", acc, err)
	}
	// The catalogue is remembered; a table that changed is looked at again after the refusal.
	if _, err := upsert.write(t, rich, vals(num(1), null, null, null)); err != nil {
		t.Fatal(err)
	}
	d.exec("ALTER TABLE accounts ALTER score TYPE text USING score::text, DROP CONSTRAINT accounts_score_check")
	_, err = upsert.write(t, rich, vals(num(1), null, num(5), null))
	if err != nil && fault.As(err).GetClass() != fault.ClassConfig {
		t.Error(err)
	}
	if _, err = upsert.write(t, rich, vals(num(1), null, txt("five"), null)); err != nil {
		t.Error(err)
	}
}

func Test_a_deferred_constraint_is_judged_with_its_row(t *testing.T) {
	d := newDB(t)
	d.exec("CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1); CREATE TABLE accounts (id int PRIMARY KEY, email text, score int REFERENCES parent DEFERRABLE INITIALLY DEFERRED, tier text)")
	got, err := upsert.write(t, openDest(t, "dsn", d.dsn), vals(num(1), null, num(1), null), vals(num(2), null, num(7), null))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "outcomes", got, []string{"created", "rejected 23503 accounts_score_fkey"})
}

func Test_a_cancelled_write_leaves_nothing(t *testing.T) {
	d := newDB(t)
	d.exec(accountsDDL)
	dest := openDest(t, "dsn", d.dsn, "application_name", "stopped")
	d.exec("BEGIN; LOCK TABLE accounts")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		b := upsert.batch(vals(num(1), null, null, null))
		done <- dest.Write(ctx, upsert.target(), b, connector.NewOutcomes(1))
	}()
	d.waitFor("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stopped' AND wait_event_type = 'Lock'", "1")
	cancel()
	if err := <-done; !fault.Is(err, fault.Cancelled) || !errors.Is(err, context.Canceled) || fault.As(err).Landed != fault.LandedNo {
		t.Errorf("%v", err)
	}
	d.exec("ROLLBACK")
	if got := d.text("SELECT count(*) FROM accounts"); got != "0" {
		t.Errorf("%s rows", got)
	}
	if err := dest.Write(t.Context(), upsert.target(), upsert.batch(), connector.NewOutcomes(0)); err != nil {
		t.Error(err)
	}
}
