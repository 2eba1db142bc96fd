package main

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// A helper that keeps the others waiting gives way, and each item is done once.
func TestWhoIsLateGivesWay(t *testing.T) {
	if workers == 1 {
		t.Log("there is one processor, and so nobody to be late")
		return
	}
	const n = 64
	var done [n]atomic.Int32
	one := func() {
		parallel(n, 1, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				if done[i].Add(1); i == n-1 { // a range of the last worker
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	gaveWay := func() bool {
		return slices.ContainsFunc(region.helpers, func(h *helper) bool { return h.way.Load() > 0 })
	}
	regions := 0
	for begun := time.Now(); !gaveWay(); regions++ {
		if one(); time.Since(begun) > 10*time.Second {
			t.Fatal("nobody has been late")
		}
	}
	for i := range done {
		equal(t, int(done[i].Load()), regions)
	}
}

// Work that nobody wants any more is left at its next region, and only that work.
func TestLeavable(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	regions := 0
	left := leavable(ctx.Done(), func() {
		for {
			if regions++; regions == 3 {
				cancel()
			}
			parallel(1, 1, func(lo, hi int) {})
		}
	})
	equal(t, left, true)
	equal(t, regions, 3)
	parallel(1, 1, func(lo, hi int) { regions++ })
	equal(t, regions, 4)
}
