package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// perRow is what a first sync takes on disk at its highest, in bytes: both tables with their indexes, the staging table, the
// server's log, and the ledger. 1,305 were measured with a million rows.
const perRow = 1400

// roomFor refuses a workload that would fill the disk: a server that runs out of it takes minutes to say so.
func roomFor(folder string, rows int) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(folder, &fs); err != nil {
		return fmt.Errorf("asking how much room %s has: %w", folder, err)
	}
	need, free := int64(rows)*perRow, int64(fs.Bavail)*int64(fs.Bsize)
	if need > free {
		return fmt.Errorf("%d rows need about %d MiB in %s, and %d MiB are free: use fewer --rows", rows, need>>20, folder, free>>20)
	}
	return nil
}

// disk adds what the ledger takes per row beyond the values.
func (b *bench) disk(dir string) error {
	var total int64
	err := filepath.Walk(filepath.Join(dir, ".upwell", "ledger"), func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			total += info.Size()
		}
		return err
	})
	b.lines = append(b.lines, line{name: "ledger on disk, values included", note: fmt.Sprintf("%.0f B/row", float64(total)/float64(b.rows))})
	return err
}
