package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The commands that write a model folder take it for themselves while they run: two runs that
// write the same checkpoints would lose them both.

// claimFile is the file in a folder that a run holds, with words that say who it is. What
// counts is that it is locked, which ends with the process however that ends.
const claimFile = ".claim"

// claim makes a folder, removes what a killed run has left in it, and holds it until release
// is called, which takes the folder away again if it was made here and is empty.
func claim(dir string) (release func(), err error) {
	made := !exists(dir)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, claimFile)
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o666)
		if err != nil {
			return nil, err
		}
		if !lock(f) {
			who, _ := io.ReadAll(io.LimitReader(f, 200))
			f.Close()
			return nil, fmt.Errorf("%s is being written by another run (%s): wait for it, or take another -out", dir, strings.TrimSpace(string(who)))
		}
		// Whoever had it may have removed it between our two calls; then it is another file.
		mine, err := f.Stat()
		if there, errThere := os.Stat(name); err != nil || errThere != nil || !os.SameFile(mine, there) {
			f.Close()
			continue
		}
		if _, err := os.ReadDir(dir); err != nil { // it would be taken for empty
			f.Close()
			return nil, err
		}
		RemoveAside(dir)
		f.Truncate(0)
		fmt.Fprintf(f, "process %d, since %s\n", os.Getpid(), time.Now().Format("2006-01-02 15:04:05"))
		return func() {
			err := os.Remove(name) // before anybody else can hold it
			f.Close()
			if err != nil && onWindows { // where an open file cannot be removed
				os.Remove(name)
			}
			if info, err := os.Lstat(dir); made && err == nil && info.IsDir() { // and nothing else that has its place now
				os.Remove(dir)
			}
		}, nil
	}
}

// mustBeFree returns an error if there is anything in a folder that a model would replace, or
// a training that may go on.
func mustBeFree(dir string) error {
	for _, name := range append([]string{shardIndexFile}, checkpointFiles...) {
		if err := mustNotExist(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("%w: take another -out", err)
		}
	}
	if found := LikeCheckpoints(dir); len(found) > 0 {
		return fmt.Errorf("%s has checkpoints of a training, such as %s: take another -out", dir, found[0])
	}
	return nil
}
