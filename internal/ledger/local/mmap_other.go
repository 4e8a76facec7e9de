//go:build !unix

package local

import (
	"io"
	"os"
)

// mapFile reads a file's first n bytes into memory, where files cannot be mapped.
func mapFile(f *os.File, n int) ([]byte, func() error, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, int64(n)), b); err != nil {
		return nil, nil, err
	}
	return b, func() error { return nil }, nil
}
