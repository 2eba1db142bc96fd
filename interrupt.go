package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// The commands, asked to end: by Ctrl-C, by whoever stops programs (SIGTERM), or by a
// terminal that closes (SIGHUP). A training saves what it has, the rest has nothing to save
// and ends at once, as the training does when it is asked a second time.

// obeySignals makes the program end when it is asked to, until stop is called.
func (c *call) obeySignals() (stop func()) {
	requests := make(chan os.Signal, 1)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // as SIGHUP is under nohup
			signal.Notify(requests, s)
		}
	}
	go func() {
		for range requests {
			if end := c.endTraining.Swap(nil); end != nil {
				(*end)()
				continue
			}
			if release := c.releaseFolder.Load(); release != nil {
				(*release)()
			}
			go func() {
				c.note("%s: %v", c.name, errInterrupted)
				os.Exit(exitInterrupted)
			}()
			time.Sleep(time.Second) // if nobody reads
			os.Exit(exitInterrupted)
		}
	}()
	return func() {
		signal.Stop(requests)
		close(requests)
	}
}

// untilInterrupted is a context that ends when the program is asked to end; what is done
// until stop is called is saved. A reader of the output that is gone does not end
// the program from here on.
func (c *call) untilInterrupted() (ctx context.Context, stop func()) {
	signal.Ignore(syscall.SIGPIPE)
	ctx, end := context.WithCancel(context.Background())
	c.endTraining.Store(&end)
	return ctx, func() {
		c.endTraining.Store(nil)
		end()
	}
}

// claim is claim, and a request to end the program releases the folder, too. Now work begins,
// and it says so if not all of the machine's processors are used.
func (c *call) claim(dir string) (release func(), err error) {
	if release, err = claim(dir); err == nil {
		release = sync.OnceFunc(release)
		c.releaseFolder.Store(&release)
		if all := runtime.NumCPU(); workers < all {
			c.note("working on %d of %d processors, as a container's quota or GOMAXPROCS has it", workers, all)
		}
	}
	return release, err
}
