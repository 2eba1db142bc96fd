//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package main

import (
	"os"
	"syscall"
)

// The ground: lock, as Unix has it.

func init() {
	lock = func(f *os.File) bool {
		// Any other error is that the file system has no locks.
		return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != syscall.EWOULDBLOCK
	}
}
