package main

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// The ground: how work is shared out. A loop over rows, columns, elements or documents
// is cut into ranges, which a few goroutines take up. No sum is ever cut, so that
// their number changes no bit.

// workers is the number of goroutines that share the work: the caller of
// parallel and its helpers.
var workers = useProcessors()

// useProcessors makes Go's threads as many as there are processors to use: more of them would
// take goroutines from each other.
func useProcessors() int {
	n := processors()
	runtime.GOMAXPROCS(n)
	return n
}

// Grains: how much a worker takes at a time is at least this.
const (
	rowGrain     = 16   // rows
	elementGrain = 4096 // elements
)

// parallel calls body for ranges [lo, hi) that together cover 0 to n, each of at
// least grain items, on all workers, and returns when all is done. body must not
// call parallel. A worker begins with its own share, because it may have the same
// rows in its cache from the region before, and then helps the others; so which
// worker takes which range is chance, and the ranges must not share an output.
func parallel(n, grain int, body func(lo, hi int)) {
	select {
	case <-unwanted:
		panic(errLeft)
	default:
	}
	parts := min(n/grain, 8*workers)
	if workers == 1 || parts < 2 {
		if n > 0 {
			body(0, n)
		}
		return
	}
	if parts > workers {
		parts -= parts % workers
	}
	region.Lock()
	defer region.Unlock()
	region.start.Do(startHelpers)
	region.body, region.n, region.parts = body, n, parts
	for w := range region.shares {
		region.shares[w].next.Store(int32(w * parts / workers))
		region.shares[w].end.Store(int32((w + 1) * parts / workers))
	}
	region.open.Store(1)
	region.count.Add(1)
	for _, h := range region.helpers {
		if h.asleep.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
	begun := time.Now()
	takeRanges(0)
	waitForHelpers(begun)
	region.body = nil // so that nothing keeps its batch in memory
}

// unwanted, if it is not nil, is closed when nobody wants any more what is being computed:
// parallel then panics with errLeft, up to leavable.
var unwanted <-chan struct{}

var errLeft = errors.New("left")

// leavable does work, but leaves it at its next call of parallel once done is closed. What
// work was writing to is half written then.
func leavable(done <-chan struct{}, work func()) (left bool) {
	defer func(outer <-chan struct{}) {
		unwanted = outer
		if err := recover(); err == errLeft {
			left = true
		} else if err != nil {
			panic(err)
		}
	}(unwanted)
	unwanted = done
	work()
	return false
}

// parallelColumns shares out n columns to body, which goes down them row by row. Memory
// is four times as fast when read in one go as in pieces of 128 bytes, so the ranges are
// wide: at most one for each worker, and of at least 1,024 columns.
func parallelColumns(n int, body func(lo, hi int)) {
	parallel(n, max(1024, n/workers), body)
}

// region is the piece of work that is being shared out. It is cut into ranges,
// and each worker has a share of them that lie side by side.
var region struct {
	sync.Mutex // one at a time
	helpers    []*helper
	start      sync.Once // of the helpers
	body       func(lo, hi int)
	n, parts   int           // items, and into how many ranges they are cut
	shares     []share       // one a worker
	open       atomic.Int32  // workers in the region; 0 means that it is closed
	count      atomic.Uint32 // regions so far
}

// A share is the ranges of a worker that nobody has taken yet.
type share struct {
	next, end atomic.Int32
	_         [14]int32 // shares lie in different cache lines
}

// A helper watches region.count for a while after each region, because in
// training the next one follows within microseconds, and then sleeps.
type helper struct {
	worker int // its number; the caller of parallel is number 0
	asleep atomic.Bool
	wake   chan struct{}

	inside atomic.Bool  // in a region
	thread int          // the system's number of its thread
	kept   atomic.Int64 // off the processor that it was lent until then, in Unix time (ns); otherwise 0
}

// waitForHelpers waits until all have left a region. Who is in it for more than twice as long
// as this worker was busy is late: it holds a range, but has lost its processor to another
// program, and may get it back in some milliseconds only.
func waitForHelpers(begun time.Time) {
	worked := time.Duration(0)
	for spins := 1; region.open.Load() > 0; spins++ {
		if spins%1000 != 0 {
			continue
		}
		switch took := time.Since(begun); {
		case worked == 0:
			worked = took
		case took > 2*worked+lateAfter:
			lendProcessor()
		}
	}
}

// lateAfter is what does not count as waiting, as the system has things to do, too.
const lateAfter = 200 * time.Microsecond

// Where a program may choose (parallel_linux.go), lendProcessor has whoever is late finish on
// this worker's processor, which would only wait, and then keeps it off there for keptOff, as
// it would be in the way. runAnywhere ends that for the caller's thread.
const keptOff = 100 * time.Millisecond

var (
	lendProcessor = func() {}
	runAnywhere   = func() {}
	threadNumber  = func() int { return 0 }
)

// takeRanges works until nothing is left to take, then leaves the region.
func takeRanges(worker int) {
	for i := range workers {
		share := &region.shares[(worker+i)%workers]
		for {
			part := int(share.next.Add(1)) - 1
			if part >= int(share.end.Load()) {
				break
			}
			region.body(part*region.n/region.parts, (part+1)*region.n/region.parts)
		}
	}
	region.open.Add(-1)
}

func startHelpers() {
	region.shares = make([]share, workers)
	for w := range workers - 1 {
		h := &helper{worker: w + 1, wake: make(chan struct{}, 1)}
		region.helpers = append(region.helpers, h)
		go h.run()
	}
}

func (h *helper) run() {
	h.keepToThread()
	for seen := uint32(0); ; {
		for spins := 0; region.count.Load() == seen; spins++ {
			if spins < 1<<18 { // a tenth of a millisecond
				continue
			}
			h.asleep.Store(true)
			if region.count.Load() != seen && h.asleep.CompareAndSwap(true, false) {
				break
			}
			h.sleep()
		}
		seen = region.count.Load()
		// Join the region unless it is closed already.
		for open := region.open.Load(); open > 0; open = region.open.Load() {
			if region.open.CompareAndSwap(open, open+1) {
				h.inside.Store(true)
				takeRanges(h.worker)
				h.inside.Store(false)
				break
			}
		}
		if until := h.kept.Load(); until > 0 && time.Now().UnixNano() > until {
			runAnywhere()
			h.kept.Store(0)
		}
	}
}

// keepToThread makes the helper stay on a thread of the system: who is to be lent a processor
// must not be moved to another one by Go.
func (h *helper) keepToThread() {
	runtime.LockOSThread()
	h.thread = threadNumber()
}

// sleep sleeps until somebody wakes the helper; if it may, on any thread, as Go wakes it sooner
// then.
func (h *helper) sleep() {
	if h.kept.Load() > 0 {
		<-h.wake
		return
	}
	runtime.UnlockOSThread()
	<-h.wake
	h.keepToThread()
}
