package main

import (
	"math"
	"syscall"
	"unsafe"
)

// The ground: machineMemory and freeSpace, where Windows tells them.

var kernel32 = syscall.NewLazyDLL("kernel32.dll")

func init() {
	var memory struct { // MEMORYSTATUSEX
		length, load uint32
		total        uint64
		_            [6]uint64
	}
	memory.length = uint32(unsafe.Sizeof(memory))
	if ok, _, _ := kernel32.NewProc("GlobalMemoryStatusEx").Call(uintptr(unsafe.Pointer(&memory))); ok != 0 {
		machineMemory = float64(memory.total)
	}
	space := kernel32.NewProc("GetDiskFreeSpaceExW")
	freeSpace = func(dir string) float64 {
		var free uint64
		name, err := syscall.UTF16PtrFromString(dir)
		if err != nil {
			return math.Inf(1)
		}
		if ok, _, _ := space.Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&free)), 0, 0); ok == 0 {
			return math.Inf(1)
		}
		return float64(free)
	}
}
