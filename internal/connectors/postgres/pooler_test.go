package postgres

import (
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// refusing is a pooler that refuses every login with these words.
func refusing(t *testing.T, words string) []string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := pgproto3.NewBackend(c, c)
			if _, err := b.ReceiveStartupMessage(); err == nil {
				b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "08P01", Message: words})
				_ = b.Flush()
			}
			_ = c.Close()
		}
	}()
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return []string{"host", host, "port", port, "user", "kit", "database", "app", "sslmode", "disable"}
}

// The words are those of PgBouncer 1.18.
func Test_a_login_a_pooler_refuses_is_an_auth_fault_and_not_an_outage(t *testing.T) {
	for words, want := range map[string][2]fault.Code{
		"password authentication failed": {fault.SourceAuth, fault.DestAuth},
		"SASL authentication failed":     {fault.SourceAuth, fault.DestAuth},
		"no such database: app":          {fault.SourceAuth, fault.DestConfig},
		"query_wait_timeout":             {fault.SourceUnreachable, fault.DestUnreachable},
	} {
		kv := refusing(t, words)
		_, reading := readAll(t.Context(), openSource(t, kv...), connector.Query{SQL: "SELECT 1"})
		_, checking := openDest(t, kv...).Check(t.Context())
		if !fault.Is(reading, want[0]) || !fault.Is(checking, want[1]) {
			t.Errorf("%s: %v, %v; want %v", words, reading, checking, want)
		}
	}
}
