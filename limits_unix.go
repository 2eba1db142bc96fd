//go:build linux || darwin || freebsd || dragonfly

package main

import (
	"math"
	"os"
	"syscall"
)

// The ground: addressLimit and freeSpace, where Unix tells them.

func init() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_AS, &limit) == nil && uint64(limit.Cur) < math.MaxInt64 {
		addressLimit = float64(limit.Cur)
		if pages := numbersIn("proc/self", "statm"); len(pages) > 0 { // what Go sets aside
			addressLimit = max(addressLimit-float64(pages[0]*float64(os.Getpagesize())), 0)
		}
	}
	freeSpace = func(dir string) float64 {
		var s syscall.Statfs_t
		if syscall.Statfs(dir, &s) != nil {
			return math.Inf(1)
		}
		return float64(s.Bavail) * float64(s.Bsize)
	}
}
