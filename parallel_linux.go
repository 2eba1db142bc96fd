//go:build amd64 || arm64

package main

import (
	"math"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// The ground: threads that choose their processors, for parallel.go (lendProcessor, runAnywhere).

// A processorSet has a bit for each processor that there may be.
type processorSet [128]uint64

// affinity gets or sets, by one of two system calls, on which processors a thread may run; 0 is
// the caller's thread. What the system refuses stays as it was.
func affinity(call uintptr, thread int, set *processorSet) {
	syscall.RawSyscall(call, uintptr(thread), unsafe.Sizeof(*set), uintptr(unsafe.Pointer(set)))
}

// getCPU is the number of the system call that tells the caller's processor. Package syscall
// does not have it for amd64.
var getCPU = map[string]uintptr{"amd64": 309, "arm64": 168}[runtime.GOARCH]

// here is the caller's processor and, in a set of their own, those of all others.
func (all processorSet) here() (mine, others processorSet) {
	var cpu uint32
	syscall.RawSyscall(getCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0)
	mine[cpu/64], others = 1<<(cpu%64), all
	others[cpu/64] &^= mine[cpu/64]
	return mine, others
}

func init() {
	var all processorSet
	if affinity(syscall.SYS_SCHED_GETAFFINITY, 0, &all); all == (processorSet{}) {
		return // this system does not say
	}
	threadNumber = syscall.Gettid
	runAnywhere = func() { affinity(syscall.SYS_SCHED_SETAFFINITY, 0, &all) }
	lendProcessor = func() {
		mine, _ := all.here()
		late := []*helper{}
		for _, h := range region.helpers {
			if h.inside.Load() {
				late = append(late, h)
				h.kept.Store(math.MaxInt64)
				affinity(syscall.SYS_SCHED_SETAFFINITY, h.thread, &mine)
			}
		}
		for region.open.Load() > 0 {
			syscall.Nanosleep(&syscall.Timespec{Nsec: 1}, nil) // some 50 microseconds
		}
		_, others := all.here() // the caller may have been moved
		for _, h := range late {
			affinity(syscall.SYS_SCHED_SETAFFINITY, h.thread, &others)
			h.kept.Store(time.Now().Add(keptOff).UnixNano())
		}
	}
}
