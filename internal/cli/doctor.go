package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/run"
	"github.com/upwelldata/upwell/internal/state"
)

// doctorResult is how the state folder is.
type doctorResult struct {
	State   string      `json:"state"` // ok | none | repaired | damaged | adopted | rebuilt
	Damage  []damageDoc `json:"damage"`
	Ledgers int         `json:"ledgers"`
	Syncs   []string    `json:"syncs"`          // those whose removals stay off until one full run has completed
	Kept    []string    `json:"kept,omitempty"` // those whose ledger is in the warehouse, and goes on
}

type damageDoc struct {
	Part     string `json:"part"` // "store", or "ledger SYNC"
	File     string `json:"file"`
	What     string `json:"what"`
	Repaired bool   `json:"repaired"`
	Loss     string `json:"loss"` // what repairing gives up, "" = nothing
	Fix      string `json:"fix,omitempty"`
}

func (r *doctorResult) text(p *printer) {
	for _, d := range r.Damage {
		word := p.paint(red, "damaged")
		if d.Repaired {
			word = p.paint(green, "repaired")
		}
		p.line("%s  %s: %s: %s", word, d.Part, clean(d.File), clean(d.What))
		if d.Loss != "" {
			p.line("    repairing gives up: %s", d.Loss)
		}
		if d.Fix != "" && !d.Repaired {
			p.line("    fix: %s", d.Fix)
		}
	}
	switch r.State {
	case "none":
		p.line("no state yet: nothing has run")
	case "ok":
		p.line("%s: the store and %s hold what was written", p.paint(green, "ok"), plural(int64(r.Ledgers), "ledger"))
	case "repaired":
		p.line("repaired")
	case "damaged":
		p.line("damage is left; runs of what it touches stop before anything is sent")
	case "adopted":
		p.line("a new state: the next run of each sync takes what its model yields for delivered and sends nothing")
	case "rebuilt":
		p.line("a new state: the next run of each sync delivers everything again")
	}
	if len(r.Kept) > 0 {
		p.line("kept, since the warehouse has their ledgers: %v; they send what differs from those", r.Kept)
	}
	if len(r.Syncs) > 0 {
		p.line("removals stay off until one full run has completed: %v", r.Syncs)
	}
}

type doctorOptions struct{ adopt, rebuild, dryRun, yes bool }

func (a *app) doctorCommand() *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the state folder, explain damage, repair what can be repaired",
		Long: `Reads every byte of the state folder and compares it with what was written. What can be mended without loss is mended; where
mending gives something up, it says what and asks (--yes does not).

When the state is gone although the project had one, you choose: --adopt takes what the models yield now for delivered, --rebuild delivers
everything again. Removals stay off until one full run has completed.`,
		Example: "  upwell doctor\n  upwell doctor --dry-run --json\n  upwell doctor --rebuild",
		Args:    between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.adopt && o.rebuild {
				return fault.New(fault.UsageUnknown, "--adopt and --rebuild do not go together").WithFix("choose one of the two")
			}
			p, err := a.load(project.WithoutSecrets())
			if err != nil {
				return err
			}
			if o.adopt || o.rebuild {
				return a.chooseState(cmd.Context(), p, o)
			}
			return a.doctor(cmd.Context(), p, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.adopt, "adopt", false, "state is gone: take what the models yield now for delivered")
	f.BoolVar(&o.rebuild, "rebuild", false, "state is gone: deliver everything again")
	f.BoolVar(&o.dryRun, "dry-run", false, "only look")
	f.BoolVar(&o.yes, "yes", false, "do not ask before a repair that gives something up")
	return cmd
}

// chooseState makes a new state where the old one is gone.
func (a *app) chooseState(ctx context.Context, p *project.Project, o doctorOptions) (err error) {
	old, err := state.Read(ctx, p)
	if err == nil {
		return errors.Join(fault.New(fault.UsageUnknown, "the state is there: nothing is adopted or rebuilt").
			WithFix("`upwell doctor` checks it; `upwell reset SYNC --ledger` forgets what one sync delivered"), old.Close())
	}
	if !fault.Is(err, fault.StateMissing) {
		return err
	}
	choice, word := state.Rebuild, "rebuilt"
	if o.adopt {
		choice, word = state.Adopt, "adopted"
	}
	s, err := state.Open(ctx, p, choice)
	if err != nil {
		return err
	}
	w := a.engine(p, s)
	defer w.closing(&err)
	names := syncNames(p)
	var kept []string
	for _, name := range names {
		stays, err := w.begin(ctx, name, o.adopt)
		if err != nil {
			return errors.Join(err, s.Withdraw())
		}
		if stays {
			kept = append(kept, name)
		}
	}
	return a.show(&doctorResult{State: word, Damage: []damageDoc{}, Ledgers: len(names), Syncs: list(names), Kept: kept})
}

// begin begins a sync's state anew. The folder may hold a state of something else: nothing of it counts. A ledger in the warehouse
// is not lost with the folder: adopting keeps it, since it knows better than the model what was delivered.
func (o *opened) begin(ctx context.Context, name string, adopt bool) (kept bool, err error) {
	if err := o.Store.Forget(ctx, name); err != nil {
		return false, err
	}
	if adopt && o.Project.Sources[o.Project.Models[o.Project.Syncs[name].Model].Source].Diff == "warehouse" {
		snap, err := o.Ledger(name).Snapshot(ctx)
		if err != nil {
			return false, err
		}
		kept = snap.Meta().Version > 0
		if err := snap.Close(); err != nil {
			return false, err
		}
	}
	if !kept {
		if err := o.Ledger(name).Reset(ctx); err != nil {
			return false, err
		}
	}
	return kept, o.Store.SetSyncState(ctx, name, run.SyncState{AdoptNext: adopt && !kept, RemovalsHeld: true})
}

func (a *app) doctor(ctx context.Context, p *project.Project, o doctorOptions) (err error) {
	if _, err := os.Stat(p.StateDir()); errors.Is(err, os.ErrNotExist) {
		s, err := state.Read(ctx, p) // a state that should be there is an error
		if err != nil {
			return err
		}
		return errors.Join(a.show(&doctorResult{State: "none", Damage: []damageDoc{}, Syncs: []string{}}), s.Close())
	}
	r := &doctorResult{State: "ok", Damage: []damageDoc{}, Syncs: []string{}}
	lost, err := a.inspectStore(ctx, p, o, r)
	if err != nil || len(r.Damage) > 0 && !lost {
		return a.diagnosis(r, err)
	}
	s, err := state.Open(ctx, p, state.Ask)
	if err != nil {
		return err
	}
	w := a.engine(p, s)
	defer w.closing(&err)
	if lost { // what requests were open is not known any more
		for _, name := range syncNames(p) {
			if err := w.Store.SetSyncState(ctx, name, run.SyncState{RemovalsHeld: true}); err != nil {
				return err
			}
		}
		r.Syncs = list(syncNames(p))
	}
	names, err := w.ledgers(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := a.inspectLedger(ctx, w, name, o, r); err != nil {
			return err
		}
		r.Ledgers++
	}
	return a.diagnosis(r, nil)
}

// diagnosis shows what was found. Damage that is left ends with exit code 5.
func (a *app) diagnosis(r *doctorResult, err error) error {
	if err != nil {
		return err
	}
	code := fault.ExitOK
	if len(r.Damage) > 0 {
		r.State = "repaired"
	}
	if slices.ContainsFunc(r.Damage, func(d damageDoc) bool { return !d.Repaired }) {
		r.State, code = "damaged", fault.ExitEnvironment
	}
	if err := a.show(r); err != nil {
		return err
	}
	return end(code)
}

// inspectStore looks at the store of runs; lost says that it was damaged and a new one was begun.
func (a *app) inspectStore(ctx context.Context, p *project.Project, o doctorOptions, r *doctorResult) (lost bool, err error) {
	found, err := state.Inspect(ctx, p, false)
	if err != nil || len(found) == 0 {
		return false, err
	}
	if a.mayRepair(found, o, "the store") {
		if found, err = state.Inspect(ctx, p, true); err != nil {
			return false, err
		}
		lost = true
	}
	r.note("store", found, "run `upwell doctor` without --dry-run")
	return lost, nil
}

func (a *app) inspectLedger(ctx context.Context, w *opened, name string, o doctorOptions, r *doctorResult) error {
	home := w.Ledger(name)
	found, err := home.Inspect(ctx, false)
	if err != nil || len(found) == 0 {
		return err
	}
	if a.mayRepair(found, o, "the ledger of "+name) {
		if found, err = home.Inspect(ctx, true); err != nil {
			return err
		}
	}
	r.note("ledger "+name, found, "restore the file from a backup, or `upwell reset "+name+" --ledger`")
	return nil
}

// mayRepair: at once where nothing is given up, else when a person agrees.
func (a *app) mayRepair(found []ledger.Damage, o doctorOptions, what string) bool {
	if o.dryRun {
		return false
	}
	var losses []string
	for _, d := range found {
		if d.Loss != "" && !slices.Contains(losses, d.Loss) {
			losses = append(losses, d.Loss)
		}
	}
	if len(losses) == 0 || o.yes {
		return true
	}
	if a.json || !a.answers() {
		return false
	}
	for _, l := range losses {
		a.stderr.line("repairing %s gives up: %s", what, l)
	}
	return a.ask("repair " + what + "?")
}

func (r *doctorResult) note(part string, found []ledger.Damage, fix string) {
	for _, d := range found {
		if d.Loss != "" {
			fix = "`upwell doctor --yes` repairs it"
		}
		r.Damage = append(r.Damage, damageDoc{part, d.File, d.What, d.Repaired, d.Loss, fix})
	}
}

// ledgers lists the syncs with a ledger on disk, those the project has no more included, and those that should have one.
func (o *opened) ledgers(ctx context.Context) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(o.Project.StateDir(), "ledger"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fault.Wrap(fault.StateUnusable, err, "listing ledgers")
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, e.Name())
		}
	}
	for _, name := range syncNames(o.Project) {
		st, err := o.Store.SyncState(ctx, name)
		if err != nil {
			return nil, err
		}
		if st.Published && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out, nil
}
