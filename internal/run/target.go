package run

import (
	"fmt"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/plan"
)

// target is where the sync's records go now.
func (p *prepared) target() ledger.Target {
	if p.dest == nil {
		return ledger.Target{}
	}
	return ledger.Target{Type: p.dest.spec.Type, Destination: p.sync.Destination, Account: p.dest.account.ID, Object: p.sync.Object}
}

// goesElsewhere: what the ledger holds was delivered to another object or another tool, and says nothing about this one. A
// destination that was only renamed is the same.
func (p *prepared) goesElsewhere() bool { return elsewhere(p.meta.Target, p.target()) }

func elsewhere(was, now ledger.Target) bool {
	if was == (ledger.Target{}) || now == (ledger.Target{}) {
		return false
	}
	return was.Type != now.Type || was.Object != now.Object || was.Destination != now.Destination && was.Account != now.Account
}

// generationWarning says why a generation starts.
func (p *prepared) generationWarning() string {
	if was := p.meta.Target; p.goesElsewhere() {
		return fmt.Sprintf("the sync went to %s.%s before: a new generation of the ledger starts, every row is sent to %s.%s, and nothing is removed from either",
			was.Destination, was.Object, p.sync.Destination, p.sync.Object)
	}
	return newGenerationWarning
}

// otherAccount warns when a destination keeps its name and is another account: which of the two it is, Upwell cannot tell.
func (p *prepared) otherAccount() []string {
	was, now := p.meta.Target, p.target()
	if was == (ledger.Target{}) || p.goesElsewhere() || was.Account == now.Account || was.Destination != now.Destination {
		return nil
	}
	return []string{fmt.Sprintf("destination %s was %s at the last run and is %s now: rows delivered there are taken for delivered here; if they are not, `upwell reset %s`",
		p.sync.Destination, was.Account, now.Account, p.sync.Name)}
}

// forgetTool leaves out what another tool refused: this one may take it.
func (p *prepared) forgetTool() {
	if p.goesElsewhere() {
		p.moved, p.refused = true, map[string]plan.Refusal{}
	}
}

// sameTarget refuses to undo in one object what a run did to another.
func (p *prepared) sameTarget(of *Record) error {
	was := p.meta.Target
	if of.Target != nil {
		was = *of.Target
	}
	if !elsewhere(was, p.target()) {
		return nil
	}
	return fault.New(fault.UndoNotPossible, "run %s wrote to %s.%s, and %s goes to %s.%s now", of.ID, was.Destination, was.Object, p.sync.Name, p.sync.Destination, p.sync.Object).
		At(p.sync.Where).WithFix("set destination and object of the sync as they were, undo, and change them again")
}
