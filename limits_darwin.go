package main

import (
	"encoding/binary"
	"syscall"
)

// The ground: machineMemory, where macOS tells it.

func init() {
	// The answer is a number of eight bytes, of which Sysctl drops a last one that is 0.
	if answer, err := syscall.Sysctl("hw.memsize"); err == nil {
		var number [8]byte
		copy(number[:], answer)
		machineMemory = float64(binary.LittleEndian.Uint64(number[:]))
	}
}
