package local

import (
	"testing"

	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/ledgertest"
)

func harness(o Options, memory int64) func(t testing.TB) ledgertest.Harness {
	return func(t testing.TB) ledgertest.Harness {
		dir := t.TempDir() + "/ledger"
		return ledgertest.Harness{Open: func() ledger.Home { return Open(dir, o) }, Hash: keyHash, Memory: memory}
	}
}

func Test_the_local_ledger_keeps_the_contract(t *testing.T) {
	ledgertest.Run(t, harness(Options{disk: quick{}}, 0))
}

func Test_the_contract_holds_with_tiny_tables_and_spools(t *testing.T) {
	ledgertest.Run(t, harness(Options{TableBytes: 600, disk: quick{}}, 1))
}

func Test_the_contract_holds_when_hashes_collide(t *testing.T) {
	defer func(m uint64) { hashMask = m }(hashMask)
	hashMask = 7 << 61
	ledgertest.Run(t, harness(Options{TableBytes: 600, disk: quick{}}, 1))
}

func Test_the_contract_holds_when_the_index_is_too_large_to_probe(t *testing.T) {
	ledgertest.Run(t, harness(Options{ProbeBytes: 1, disk: quick{}}, 0))
}
