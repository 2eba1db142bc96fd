package main

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// A helper that keeps the others waiting is lent a processor, and each item is done once.
func TestWhoIsLate(t *testing.T) {
	if workers == 1 {
		t.Log("there is one processor, and so nobody to be late")
		return
	}
	late := 0
	really := lendProcessor
	defer func() { lendProcessor = really }()
	lendProcessor = func() { late++; really() }
	const n = 64
	var done [n]atomic.Int32
	one := func() {
		var last atomic.Bool // a helper has the last item
		parallel(n, 1, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				if done[i].Add(1); i == n-1 {
					last.Store(true)
					time.Sleep(5 * time.Millisecond)
				}
			}
			for begun := time.Now(); lo == 0 && !last.Load() && time.Since(begun) < time.Millisecond; {
			}
		})
	}
	regions := 0
	for begun := time.Now(); late < 3; regions++ {
		if one(); time.Since(begun) > 10*time.Second {
			t.Fatalf("somebody has been late %d times, want 3", late)
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
