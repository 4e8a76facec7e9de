//go:build unix

package file

import "golang.org/x/sys/unix"

// writable asks whether files can be made in a folder, without making one.
func writable(folder string) error { return unix.Access(folder, unix.W_OK|unix.X_OK) }
