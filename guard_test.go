//go:build linux || darwin

package main

import (
	"os"
	"syscall"
	"testing"
	"unsafe"
)

// guardedFloats returns n floats that end where a page begins which may be
// neither read nor written.
func guardedFloats(t *testing.T, n int) []float32 {
	t.Helper()
	page := os.Getpagesize()
	size := (4*n + page - 1) / page * page
	memory, err := syscall.Mmap(-1, 0, size+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	check(t, err)
	t.Cleanup(func() { check(t, syscall.Munmap(memory)) })
	check(t, syscall.Mprotect(memory[size:], syscall.PROT_NONE))
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&memory[size-4*n])), n)
}
