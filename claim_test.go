//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows

package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A folder that is claimed is refused to others until it is released, and nothing is left.
func TestClaim(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	release, err := claim(dir)
	check(t, err)
	if _, err := claim(dir); err == nil || !strings.Contains(err.Error(), "is being written by another run (process ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("of a second claim the error is %v", err)
	}
	release()
	equal(t, exists(dir), false)
	if !onWindows { // where a folder that is in use cannot be moved away
		release, err = claim(dir)
		check(t, err)
		check(t, os.Rename(dir, dir+".moved"))
		check(t, os.WriteFile(dir, nil, 0o666))
		release()
		equal(t, exists(dir), true)
		check(t, os.Remove(dir))
	}
	check(t, os.Mkdir(dir, 0o777))
	check(t, os.WriteFile(filepath.Join(dir, claimFile), []byte("process 1, since yesterday"), 0o666)) // of a killed run
	check(t, os.WriteFile(filepath.Join(dir, ".metrics.jsonl.123"), nil, 0o666))
	release, err = claim(dir)
	check(t, err)
	release()
	entries, err := os.ReadDir(dir)
	check(t, err)
	equal(t, len(entries), 0)
}

// Other runs that want the same folder, at any moment, do not disturb the first, whose model
// is that of an undisturbed run; what they are told is who has the folder. A run that was
// killed is in nobody's way, and where it has left checkpoints alone they are named.
func TestTwoRuns(t *testing.T) {
	dir := t.TempDir()
	once, twice := filepath.Join(dir, "once"), filepath.Join(dir, "twice")
	args := func(out string, more ...string) []string {
		return smallRun(t, dir, append([]string{"-out", out, "-steps", "2000", "-save-every", "20", "-log-every", "1000"}, more...)...)
	}
	status, _, stderr := runHere("", args(once)...)
	equal(t, status, exitDone, stderr)

	start := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], args(twice, "-resume")...)
		cmd.Env, cmd.Stderr = append(os.Environ(), asProgram+"=1"), io.Discard
		check(t, cmd.Start())
		for claimed := false; !claimed || len(CheckpointsIn(twice)) == 0; { // the folder may have both already, of another run
			time.Sleep(time.Millisecond)
			who, _ := os.ReadFile(filepath.Join(twice, claimFile))
			claimed = strings.HasPrefix(string(who), fmt.Sprintf("process %d,", cmd.Process.Pid))
		}
		return cmd
	}
	first := start()
	check(t, first.Process.Kill())
	first.Wait()
	for _, command := range []string{"embed", "explain"} {
		_, _, stderr := runHere("", command, "-model", twice, "the")
		equal(t, strings.Contains(stderr, "has no model yet, but checkpoints: "+filepath.Join(twice, checkpointPrefix)), true, stderr)
	}
	_, _, stderr = runHere("", "finetune", "-model", once, "-task", "classify", "-train", "task.tsv", "-out", twice)
	equal(t, strings.Contains(stderr, "has checkpoints of a training"), true, stderr)

	first = start()
	ended, refused := make(chan error), 0
	go func() { ended <- first.Wait() }()
	for running := true; running; {
		select {
		case err := <-ended:
			check(t, err)
			running = false
		case <-time.After(time.Duration(rand.IntN(20)) * time.Millisecond):
			var said bytes.Buffer
			cmd := exec.Command(os.Args[0], args(twice, "-resume")...)
			cmd.Env, cmd.Stderr = append(os.Environ(), asProgram+"=1"), &said
			if err := cmd.Run(); err != nil && strings.Contains(said.String(), "is being written by another run") {
				refused++
			} else if err != nil && !exists(filepath.Join(twice, modelFile)) {
				t.Errorf("the second run ends with %v, %s", err, &said)
			}
		}
	}
	if refused == 0 {
		t.Error("no second run was refused")
	}
	t.Logf("%d runs were refused", refused)
	equal(t, modelSum(t, twice), modelSum(t, once))
	equal(t, metricsWithoutSpeed(t, twice), metricsWithoutSpeed(t, once))
	equal(t, exists(filepath.Join(twice, claimFile)), false)
}
