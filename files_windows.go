package main

import (
	"os"
	"syscall"
	"unsafe"
)

// The ground: lock, as Windows has it.

func init() {
	lockFile := kernel32.NewProc("LockFileEx")
	lock = func(f *os.File) bool {
		const exclusive, atOnce = 2, 1
		const locked = syscall.Errno(33)               // ERROR_LOCK_VIOLATION; any other is that the file system has no locks
		far := syscall.Overlapped{OffsetHigh: 1 << 30} // of all bytes one that no file has: nobody else may read what is locked
		ok, _, err := lockFile.Call(f.Fd(), exclusive|atOnce, 0, 1, 0, uintptr(unsafe.Pointer(&far)))
		return ok != 0 || err != locked
	}
}
