package cli

import (
	"os"
	"runtime/debug"
)

// heapLimit makes the garbage collector work harder before the heap doubles: beside it the probe index of the largest ledger
// that is probed in place is mapped (about 17 bytes a row). It is a goal, not a bound: GOMEMLIMIT in the environment wins.
const heapLimit = 128 << 20

func limitHeap() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heapLimit)
	}
}
