//go:build unix

package local

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps a file's first n bytes for reading.
func mapFile(f *os.File, n int) ([]byte, func() error, error) {
	if n == 0 {
		return nil, func() error { return nil }, nil
	}
	b, err := unix.Mmap(int(f.Fd()), 0, n, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, os.NewSyscallError("mmap", err)
	}
	return b, func() error { return unix.Munmap(b) }, nil
}
