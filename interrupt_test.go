//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killAt is a variable of the environment: the program, as the test binary, kills itself at
// this operation on the disk, counted from 1.
const killAt = "BERT_TEST_KILL_AT"

func init() {
	n, err := strconv.Atoi(os.Getenv(killAt))
	if err != nil {
		return
	}
	sound, count := disk, func() {
		if n--; n == 0 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	disk.create = func(dir, pattern string) (*os.File, error) { count(); return sound.create(dir, pattern) }
	disk.mkdir = func(name string, mode os.FileMode) error { count(); return sound.mkdir(name, mode) }
	disk.write = func(f *os.File, p []byte) (int, error) { count(); return sound.write(f, p) }
	disk.rename = func(from, to string) error { count(); return sound.rename(from, to) }
}

// asked is the program after it has been sent signals, each when ready tells that it is time.
func asked(t *testing.T, cmd *exec.Cmd, ready func() bool, signals ...os.Signal) (status int) {
	for _, s := range signals {
		if signal.Ignored(s) { // as under nohup, and so it would be in the program
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	t.Helper()
	cmd.Env = append(os.Environ(), asProgram+"=1")
	check(t, cmd.Start())
	for begin := time.Now(); !ready(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Error("it is not ready after a minute")
			break
		}
	}
	for _, s := range signals {
		check(t, cmd.Process.Signal(s))
		time.Sleep(20 * time.Millisecond)
	}
	begin := time.Now()
	cmd.Wait()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it ends %v after the signal", took)
	}
	return cmd.ProcessState.ExitCode()
}

// requests are the signals that ask a program to end: from the keyboard, from what stops
// programs, and from a terminal that closes.
var requests = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

// Each of them ends a training with a checkpoint, exit status 130 and a line that says how to
// go on, to the very bits.
func TestSignals(t *testing.T) {
	dir := t.TempDir()
	args := func(out string) []string {
		return smallRun(t, dir, "-out", filepath.Join(dir, out), "-steps", "3000", "-log-every", "7", "-resume")
	}
	if status, _, stderr := runHere("", args("once")...); status != exitDone {
		t.Fatal(stderr)
	}
	for _, s := range requests {
		out := filepath.Join(dir, s.String())
		var stderr bytes.Buffer
		cmd := exec.Command(os.Args[0], args(s.String())...)
		cmd.Stderr = &stderr
		status := asked(t, cmd, func() bool {
			metrics, _ := os.ReadFile(filepath.Join(out, metricsFile))
			return bytes.Count(metrics, []byte("\n")) > 10
		}, s)
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		if last := lines[len(lines)-1]; status != exitInterrupted || !strings.HasPrefix(last, "pretrain: interrupted: ") || !strings.HasSuffix(last, " of 3000 steps are taken and saved; to go on: the same command with -resume") {
			t.Errorf("%v: exit status %d, %s", s, status, last)
		}
		equal(t, len(CheckpointsIn(out)), 1)
		if status, _, stderr := runHere("", args(s.String())...); status != exitDone {
			t.Fatal(stderr)
		}
		equal(t, modelSum(t, out), modelSum(t, filepath.Join(dir, "once")))
		equal(t, metricsWithoutSpeed(t, out), metricsWithoutSpeed(t, filepath.Join(dir, "once")))
	}
}

// Before the first step there is nothing to save: one line, and no folder. So in any command
// that is busy or waits for its input.
func TestSignalBeforeTheFirstStep(t *testing.T) {
	for _, command := range []string{"pretrain -corpus - -out ", "vocab -corpus - -out "} {
		out := filepath.Join(t.TempDir(), "out")
		stdin, waits, err := os.Pipe() // nothing comes, nor does it end
		check(t, err)
		defer waits.Close()
		var stderr bytes.Buffer
		cmd := exec.Command(os.Args[0], strings.Fields(command+out)...)
		cmd.Stdin, cmd.Stderr = stdin, &stderr
		begun := time.Now()
		ready := func() bool { return (exists(out) || command[0] == 'v') && time.Since(begun) > 500*time.Millisecond }
		status := asked(t, cmd, ready, syscall.SIGTERM)
		if want := strings.Fields(command)[0] + ": interrupted\n"; status != exitInterrupted || stderr.String() != want || exists(out) {
			t.Errorf("exit status %d, %q, want %q; there is a folder: %v", status, &stderr, want, exists(out))
		}
	}
}

// A second request ends the program at once, though nobody reads what it says and the first
// has not been obeyed yet.
func TestSecondSignal(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	unread, stderr, err := os.Pipe()
	check(t, err)
	defer unread.Close()
	for full := make([]byte, 1); ; { // so that it waits at its first line
		stderr.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := stderr.Write(full); err != nil {
			break
		}
	}
	cmd := exec.Command(os.Args[0], smallRun(t, dir, "-out", out)...)
	cmd.Stderr = stderr
	begun := time.Now()
	status := asked(t, cmd, func() bool { return exists(out) && time.Since(begun) > 300*time.Millisecond }, syscall.SIGTERM, syscall.SIGTERM)
	equal(t, status, exitInterrupted)
}

// An evaluation and a step are left in their midst, and saved is what was before: a run that
// goes on has the same bits and makes up for the report.
func TestLeftInTheMidst(t *testing.T) {
	run := func(trainer *Trainer, ctx context.Context, said *[]string, on func(Metrics)) error {
		trainer.OnReport = func(m Metrics) error {
			*said = append(*said, fmt.Sprint(m.Split, m.Step, m.Tokens, m.MLMLoss))
			on(m)
			return nil
		}
		return trainer.Train(ctx)
	}
	whole, want := smallTrainer(t), []string(nil)
	check(t, run(whole, context.Background(), &want, func(Metrics) {}))
	equal(t, len(want), 6)
	for _, where := range []string{"evaluation", "step"} {
		trainer, said := smallTrainer(t), []string(nil)
		ctx, cancel := context.WithCancel(context.Background())
		saved := -1
		trainer.Save = func() error { saved = trainer.state.Step; return nil }
		source := trainer.Source
		if where == "step" {
			trainer.Source = fillFunc(func(b *Batch, n, step int) {
				if source.Fill(b, n, step); step == 8 {
					cancel()
				}
			})
		}
		err := run(trainer, ctx, &said, func(m Metrics) {
			if where == "evaluation" && m.Step == 8 {
				cancel()
			}
		})
		if !errors.Is(err, errInterrupted) || saved != 8 || trainer.state.Step != 8 || trainer.state.ReportDue != (where == "evaluation") {
			t.Errorf("%s: %v, saved at step %d, %+v", where, err, saved, trainer.state)
		}
		if trainer.state.ReportDue {
			said = said[:len(said)-1] // as metrics.jsonl then has it
		}
		trainer.Source = source
		check(t, run(trainer, context.Background(), &said, func(Metrics) {}))
		equal(t, said, want)
		equal(t, slices.Equal(trainer.Model.Value, whole.Model.Value), true, where)
	}
}

// A fillFunc is a source of examples.
type fillFunc func(b *Batch, n, step int)

func (f fillFunc) Fill(b *Batch, n, step int) { f(b, n, step) }

// A terminal that is gone, or a reader such as tee or head, costs a training nothing: it goes on
// to the end, or saves what it has when it is asked to end.
func TestNobodyListens(t *testing.T) {
	dir := t.TempDir()
	for _, ends := range []bool{true, false} {
		out := filepath.Join(dir, fmt.Sprint(ends))
		stdout, w, err := os.Pipe()
		check(t, err)
		steps := map[bool]string{true: "300", false: "1000000"}[ends]
		cmd := exec.Command(os.Args[0], smallRun(t, dir, "-out", out, "-steps", steps, "-log-every", "1")...)
		cmd.Stdout, cmd.Stderr = w, w
		ready := func() bool {
			w.Close()
			metrics, _ := os.ReadFile(filepath.Join(out, metricsFile))
			lines := bytes.Count(metrics, []byte("\n"))
			if lines > 0 { // now it trains, and head has had its line
				stdout.Close()
			}
			return lines > 50
		}
		if ends {
			equal(t, asked(t, cmd, ready), exitDone)
			equal(t, exists(filepath.Join(out, modelFile)), true)
			continue
		}
		equal(t, asked(t, cmd, ready, syscall.SIGHUP), exitInterrupted)
		_, err = loadCheckpoint(CheckpointsIn(out)[0])
		check(t, err)
	}
}

// smallTokenizer is one for a smallModel.
func smallTokenizer(t *testing.T) *Tokenizer {
	t.Helper()
	tokenizer, err := NewTokenizer(append(specialTokens[:5:5], strings.Fields("a b e i o t . the ##e ##s ##t")...), true)
	check(t, err)
	return tokenizer
}

// finetune that is asked to end keeps its best epoch.
func TestInterruptedFinetune(t *testing.T) {
	dir := t.TempDir()
	model, out := filepath.Join(dir, "model"), filepath.Join(dir, "out")
	check(t, SaveModel(model, smallModel(t), smallTokenizer(t)))
	cmd := exec.Command(os.Args[0], "finetune", "-model", model, "-task", "classify", "-train", "task.tsv", "-epochs", "100000", "-out", out)
	cmd.Stderr = io.Discard
	status := asked(t, cmd, func() bool { return exists(filepath.Join(out, modelFile)) }, syscall.SIGHUP)
	equal(t, status, exitInterrupted)
	_, _, _, err := LoadModel(out)
	check(t, err)
	equal(t, hiddenIn(t, out), []string(nil))
}

// Killed at any operation on the disk, finetune leaves a model or none; where there is none, the
// next run takes the folder, and nothing is left of the one before.
func TestFinetuneKilledAnywhere(t *testing.T) {
	dir := t.TempDir()
	model := filepath.Join(dir, "model")
	check(t, SaveModel(model, smallModel(t), smallTokenizer(t)))
	kept := 0
	for n := 1; ; n++ {
		out := filepath.Join(dir, fmt.Sprint(n))
		args := []string{"finetune", "-model", model, "-task", "classify", "-train", "task.tsv", "-epochs", "2", "-seed", "3", "-out", out}
		status, _, stderr := runProgram(t, []string{fmt.Sprintf("%s=%d", killAt, n)}, "", args...)
		if status == exitDone {
			if n < 20 || kept == 0 {
				t.Errorf("%d operations, %d models", n, kept)
			}
			break
		} else if status > 0 {
			t.Fatal(stderr)
		}
		if exists(filepath.Join(out, modelFile)) {
			kept++
			_, _, _, err := LoadModel(out)
			check(t, err)
			continue
		}
		if status, _, stderr := runHere("", args...); status != exitDone {
			t.Errorf("after a kill at operation %d: %s", n, stderr)
		}
		equal(t, hiddenIn(t, out), []string(nil))
	}
}

// A folder is for one run of one kind: whoever comes second is refused, and so is a run over
// what another kind has left. A demo replaces a demo.
func TestFolderOfAnotherKind(t *testing.T) {
	dir := t.TempDir()
	model, out := filepath.Join(dir, "model"), filepath.Join(dir, "out")
	check(t, SaveModel(model, smallModel(t), smallTokenizer(t)))
	kinds := [][]string{
		smallRun(t, dir, "-resume"),
		{"finetune", "-model", model, "-task", "classify", "-train", "task.tsv"},
		{"demo"},
	}
	for _, kind := range kinds {
		for _, test := range []struct{ out, want string }{{out, "is being written by another run"}, {model, "exists already, and is not overwritten: take another -out"}} {
			release, err := claim(out)
			check(t, err)
			sum := modelSum(t, model)
			status, _, stderr := runHere("", append(kind, "-out", test.out)...)
			if status != exitFailed || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, test.want) {
				t.Errorf("%s: exit status %d, %s, want %q", kind[0], status, stderr, test.want)
			}
			equal(t, modelSum(t, model), sum)
			release()
		}
	}
	s := &story{m: smallModel(t), t: smallTokenizer(t)}
	check(t, s.save(out, []byte("{}\n")))
	check(t, mayHoldDemo(out))
	check(t, s.save(out, []byte("{}\n")))
	check(t, SaveModel(out, smallModel(t), smallTokenizer(t))) // the same bits
	check(t, mayHoldDemo(out))
	s.m.Value[0]++
	check(t, SaveModel(out, s.m, s.t))
	if err := mayHoldDemo(out); err == nil {
		t.Error("a demo may replace a model that is not the demo's")
	}
}

// A folder that cannot be read is not taken for empty.
func TestUnreadableFolder(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	args := smallRun(t, dir, "-out", out, "-resume", "-save-every", "10", "-steps", "20")
	if status, _, stderr := runHere("", args...); status != exitDone {
		t.Fatal(stderr)
	}
	cmd := exec.Command(os.Args[0], args...)
	if os.Getuid() == 0 { // who may read everything
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		for _, name := range []string{dir, filepath.Dir(dir)} {
			check(t, os.Chmod(name, 0o755))
		}
		check(t, os.Chown(out, 65534, 65534))
	}
	check(t, os.Chmod(out, 0o333))
	defer os.Chmod(out, 0o755)
	binary := filepath.Join(dir, "program")
	data, err := os.ReadFile(os.Args[0])
	check(t, err)
	check(t, os.WriteFile(binary, data, 0o755))
	cmd.Path = binary
	cmd.Env = append(os.Environ(), asProgram+"=1")
	said, _ := cmd.CombinedOutput()
	if want := "pretrain: " + out + ": permission denied\n"; cmd.ProcessState.ExitCode() != exitFailed || string(said) != want {
		t.Errorf("exit status %d, %q, want %q", cmd.ProcessState.ExitCode(), said, want)
	}
}
