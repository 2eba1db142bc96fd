package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killAfter is a variable of the environment: the program, as the test binary, kills
// itself as soon as what has this name has been renamed to it.
const killAfter = "BERT_TEST_KILL_AFTER"

func init() {
	if os.Getenv(asProgram) != "" {
		disk.sync = func(*os.File) error { return nil } // what a kill leaves needs none
	}
	if name := os.Getenv(killAfter); name != "" {
		rename := disk.rename
		disk.rename = func(from, to string) error {
			err := rename(from, to)
			if filepath.Base(to) == name {
				if p, err := os.FindProcess(os.Getpid()); err == nil {
					p.Kill() // kill -9: nothing is finished or cleaned up
				}
				select {}
			}
			return err
		}
	}
}

// smallRun is the command for a training of 30 steps with a very small model.
func smallRun(t testing.TB, dir string, more ...string) []string {
	t.Helper()
	corpus, vocabulary := filepath.Join(dir, "corpus.txt"), filepath.Join(dir, "vocab.txt")
	if !exists(corpus) {
		check(t, os.WriteFile(corpus, corpusText[:8000], 0o666))
		words := append(specialTokens[:5:5], strings.Fields("a b e i o t . the ##e ##s ##t")...)
		check(t, writeFile(vocabulary, func(w io.Writer) error { return WriteVocabulary(w, words) }))
	}
	return append([]string{"pretrain", "-corpus", corpus, "-vocab", vocabulary, "-hidden", "4", "-heads", "1", "-layers", "1", "-intermediate", "4", "-positions", "16",
		"-max-seq", "16", "-short-seq", "8", "-short-part", "0.3", "-batch", "2", "-lr", "1e-2", "-steps", "30", "-log-every", "10"}, more...)
}

func modelSum(t testing.TB, dir string) string {
	t.Helper()
	sum, err := fileSum(filepath.Join(dir, modelFile))
	check(t, err)
	return sum
}

// 30 steps at once, and 15, kill -9, and 15 more, on one thread and then on two, with a
// checkpoint that has come to harm, give the same model, and the same metrics but for the speed.
func TestResumeIsExact(t *testing.T) {
	dir := t.TempDir()
	once, twice := filepath.Join(dir, "once"), filepath.Join(dir, "twice")
	run := func(status int, env, out string, more ...string) {
		t.Helper()
		args := smallRun(t, dir, append([]string{"-out", out, "-save-every", "5", "-dropout", "0.1"}, more...)...)
		if got, _, stderr := runProgram(t, strings.Fields(env), "", args...); got != status {
			t.Fatalf("exit status %d, want %d: %s", got, status, stderr)
		}
	}
	run(exitDone, "", once)
	const killed = -1
	run(killed, "GOMAXPROCS=1 "+killAfter+"=checkpoint-15", twice, "-resume") // there is none yet
	if exists(filepath.Join(twice, modelFile)) || !exists(filepath.Join(twice, "checkpoint-15")) {
		t.Fatal("the run was not killed after checkpoint-15")
	}
	changeFile(t, filepath.Join(twice, "checkpoint-15"), trainingFile, func(s string) string { return s[1:] })
	run(killed, killAfter+"=.checkpoint-15-finished", twice, "-resume") // while it makes place for a sound one
	equal(t, exists(filepath.Join(twice, "checkpoint-15")), false)
	run(exitDone, "GOMAXPROCS=2", twice, "-resume")
	equal(t, modelSum(t, twice), modelSum(t, once))
	equal(t, metricsWithoutSpeed(t, twice), metricsWithoutSpeed(t, once))
	equal(t, len(CheckpointsIn(twice)), keptCheckpoints)
	run(exitDone, "", twice, "-resume") // which finds nothing left to do
	equal(t, modelSum(t, twice), modelSum(t, once))
}

// metricsWithoutSpeed is metrics.jsonl but for what depends on the time.
func metricsWithoutSpeed(t testing.TB, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, metricsFile))
	check(t, err)
	var all strings.Builder
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		fields := map[string]any{}
		check(t, json.Unmarshal([]byte(line), &fields))
		delete(fields, "tokens_per_second")
		fmt.Fprintln(&all, fields)
	}
	return all.String()
}

// killRounds is how often TestKilledAnyTime kills.
const killRounds = 100

// Killed at any moment, again and again, a run always finds its newest checkpoint or
// the one before, and ends where an undisturbed run ends.
func TestKilledAnyTime(t *testing.T) {
	dir := t.TempDir()
	once := filepath.Join(dir, "once")
	if status, _, stderr := runHere("", smallRun(t, dir, "-out", once)...); status != exitDone {
		t.Fatal(stderr)
	}
	want := modelSum(t, once)
	r := rand.New(rand.NewPCG(1, 1))
	killed, ended := 0, 0
	for run := 0; killed < killRounds; run++ {
		out := filepath.Join(dir, fmt.Sprint(run))
		args := smallRun(t, dir, "-out", out, "-save-every", "1", "-resume")
		for killed < killRounds && !exists(filepath.Join(out, modelFile)) {
			var stderr bytes.Buffer
			cmd := exec.Command(os.Args[0], args...)
			cmd.Env, cmd.Stderr = append(os.Environ(), asProgram+"=1"), &stderr
			check(t, cmd.Start())
			timer := time.AfterFunc(time.Duration(r.IntN(60))*time.Millisecond, func() { cmd.Process.Kill() })
			cmd.Wait()
			timer.Stop()
			if code := cmd.ProcessState.ExitCode(); code > 0 {
				t.Fatalf("exit status %d: %s", code, &stderr)
			}
			if strings.Contains(stderr.String(), "passed over") {
				t.Errorf("a kill has left a checkpoint that is not sound: %s", &stderr)
			}
			if cmd.ProcessState.Success() {
				ended++
			} else {
				killed++
			}
		}
		// Now to the end. It may have been killed after the model was written.
		if status, _, stderr := runHere("", args...); status != exitDone {
			t.Fatal(stderr)
		}
		equal(t, modelSum(t, out), want)
		hidden, err := filepath.Glob(filepath.Join(out, ".*"))
		check(t, err)
		equal(t, len(hidden), 0)
	}
	t.Logf("killed %d times, %d ended", killed, ended)
}

// diskUse tells how many operations there were on the disk, which file or folder the
// one that failed was about, by the name that it has in the end, and which checkpoints
// there were until then.
type diskUse struct {
	count       int
	failed      string
	checkpoints []string
}

// failingDisk makes the n-th operation on the disk fail, in a run whose folder is out,
// with an error like the system's. It flushes nothing, to be quick.
func failingDisk(t *testing.T, n int, failure error, out string) *diskUse {
	t.Helper()
	sound, use := disk, new(diskUse)
	t.Cleanup(func() { disk = sound })
	fails := func(name string) bool {
		if use.count++; use.count != n {
			return false
		}
		use.failed, use.checkpoints = nameInTheEnd(name), CheckpointsIn(out)
		return true
	}
	disk.create = func(dir, pattern string) (*os.File, error) {
		if fails(filepath.Join(dir, strings.Replace(pattern, "*", "0", 1))) {
			return nil, &os.PathError{Op: "open", Path: filepath.Join(dir, pattern), Err: failure}
		}
		return sound.create(dir, pattern)
	}
	disk.mkdir = func(name string, mode os.FileMode) error {
		if fails(name) {
			return &os.PathError{Op: "mkdir", Path: name, Err: failure}
		}
		return sound.mkdir(name, mode)
	}
	disk.write = func(f *os.File, p []byte) (int, error) {
		if fails(f.Name()) {
			half, _ := sound.write(f, p[:len(p)/2]) // a full disk takes a part
			return half, &os.PathError{Op: "write", Path: f.Name(), Err: failure}
		}
		return sound.write(f, p)
	}
	disk.sync = func(f *os.File) error {
		if fails(f.Name()) {
			return &os.PathError{Op: "sync", Path: f.Name(), Err: failure}
		}
		return nil
	}
	disk.rename = func(from, to string) error {
		if fails(to) {
			return &os.LinkError{Op: "rename", Old: from, New: to, Err: failure}
		}
		return sound.rename(from, to)
	}
	return use
}

// While something is written or removed there is a dot before its name, and a number
// after that of a file, and a model's files are in a folder of their own.
var (
	checkpointAside = regexp.MustCompile(`\.(checkpoint-\d+)(-finished)?`)
	fileAside       = regexp.MustCompile(`\.([a-z_.]+)\.\d+$`)
)

func nameInTheEnd(name string) string {
	name = strings.Replace(name, string(filepath.Separator)+savingFolder, "", 1)
	return fileAside.ReplaceAllString(checkpointAside.ReplaceAllString(name, "$1"), "$1")
}

// Whichever write, flush or renaming fails, be the disk full or read-only, the
// program says so in a line that names the file, as it is called in the end, leaves
// nothing half done and loses no checkpoint; and later it goes on to the same model.
func TestEveryFailureOfTheDisk(t *testing.T) {
	dir := t.TempDir()
	once := filepath.Join(dir, "once")
	use := failingDisk(t, 0, nil, "")
	train := func(out string) (int, string) {
		status, _, stderr := runHere("", smallRun(t, dir, "-out", out, "-steps", "9", "-save-every", "3", "-log-every", "9", "-resume")...)
		return status, stderr
	}
	smallRun(t, dir)
	use.count = 0
	if status, stderr := train(once); status != exitDone {
		t.Fatal(stderr)
	}
	all, want := use.count, modelSum(t, once)
	if all < 60 {
		t.Fatalf("the run has asked the disk %d times only", all)
	}
	for n := 1; n <= all; n++ {
		failure := []error{syscall.ENOSPC, syscall.EROFS}[n%2]
		out := filepath.Join(dir, fmt.Sprint(n))
		before := disk
		use := failingDisk(t, n, failure, out)
		status, stderr := train(out)
		disk = before
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		if strings.HasPrefix(filepath.Base(use.failed), "report.") { // a run goes on without its page
			if status != exitDone || !strings.Contains(stderr, "warning: "+use.failed+": "+failure.Error()) {
				t.Errorf("operation %d, on %s: exit status %d, %s", n, use.failed, status, stderr)
			}
			continue
		}
		if last := lines[len(lines)-1]; status != exitFailed || last != "pretrain: "+use.failed+": "+failure.Error() {
			t.Errorf("operation %d, on %s, fails with %q: exit status %d, %s", n, use.failed, failure, status, last)
		}
		equal(t, CheckpointsIn(out), use.checkpoints)
		for _, name := range use.checkpoints {
			if _, err := loadCheckpoint(name); err != nil {
				t.Errorf("operation %d fails: %v", n, err)
			}
		}
		if left := hiddenIn(t, out); len(left) > 0 {
			t.Errorf("operation %d fails and leaves %v", n, left)
		}
		if status, stderr := train(out); status != exitDone {
			t.Errorf("after operation %d has failed: %s", n, stderr)
		}
		equal(t, modelSum(t, out), want)
	}
	t.Logf("%d operations, each made to fail", all)
}

// hiddenIn are the temporary files and folders below dir.
func hiddenIn(t testing.TB, dir string) (names []string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), ".") {
			names = append(names, path)
		}
		return nil
	}))
	return names
}

// Two sound checkpoints are kept. One that is not sound does not count as one, and
// is replaced when the run comes to its step again.
func TestTwoSoundCheckpointsAreKept(t *testing.T) {
	trainer := smallTrainer(t)
	trainer.optimizer = NewAdamW(&trainer.Model.Parameters, &trainer.Settings)
	source := trainer.Source.(*CorpusSource)
	k := &Checkpoints{dir: t.TempDir(), trainer: trainer, tokenizer: source.Tokenizer}
	steps := func() (steps []int) {
		for _, name := range CheckpointsIn(k.dir) {
			steps = append(steps, checkpointStep(name))
		}
		return steps
	}
	save := func(step int, want ...int) {
		t.Helper()
		trainer.state.Step = step
		check(t, k.Save())
		equal(t, steps(), want)
	}
	save(1, 1)
	save(2, 2, 1)
	save(3, 3, 2)
	save(10, 10, 3)
	for _, step := range []string{"3", "10"} {
		name := filepath.Join(k.dir, checkpointPrefix+step)
		changeFile(t, name, trainingFile, func(s string) string { return s[1:] })
		k.unsound = append(k.unsound, name)
	}
	save(2, 10, 3, 2)
	save(3, 10, 3, 2) // 3 is sound again
	save(4, 10, 4, 3)
	save(10, 10, 4)
	save(11, 11, 10)
}

// A run is gone on with only with the settings, the data and the vocabulary that it
// was begun with; and past a checkpoint that is not sound, which is said.
func TestResumeRefuses(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	run := func(status int, want string, more ...string) {
		t.Helper()
		got, _, stderr := runHere("", smallRun(t, dir, append([]string{"-out", out, "-save-every", "10"}, more...)...)...)
		if got != status || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit status %d, %s; want %d and %q", more, got, stderr, status, want)
		}
	}
	run(exitDone, "saved")
	sum := modelSum(t, out)
	run(exitFailed, "exists already, with checkpoints: -resume goes on from them")
	run(exitFailed, "-batch is 3, but "+filepath.Join(out, "checkpoint-30-finished")+" was made with 2", "-resume", "-batch", "3")
	run(exitFailed, "-hidden is 8", "-resume", "-hidden", "8")
	run(exitFailed, "-recipe is paper", "-resume", "-recipe", "paper")

	vocabulary := filepath.Join(dir, "vocab.txt")
	words, err := os.ReadFile(vocabulary)
	check(t, err)
	check(t, os.WriteFile(vocabulary, append(words, "more\n"...), 0o666))
	run(exitFailed, vocabulary+" is not the vocabulary of", "-resume")
	check(t, os.WriteFile(vocabulary, words, 0o666))

	corpus := filepath.Join(dir, "corpus.txt")
	check(t, os.WriteFile(corpus, corpusText[:8100], 0o666))
	run(exitFailed, "was made with other data", "-resume")
	check(t, os.WriteFile(corpus, corpusText[:8000], 0o666))

	check(t, os.Remove(filepath.Join(out, modelFile)))
	changeFile(t, filepath.Join(out, "checkpoint-30-finished"), optimizerFile, func(s string) string { return s[:len(s)-1] })
	run(exitDone, filepath.Join(out, "checkpoint-30-finished")+" is passed over: ", "-resume", "-log-every", "1")
	equal(t, modelSum(t, out), sum)
	for _, name := range CheckpointsIn(out) { // and is sound again
		_, err := loadCheckpoint(name)
		check(t, err)
		changeFile(t, name, trainingFile, func(s string) string { return s[1:] })
	}
	equal(t, len(CheckpointsIn(out)), 2)
	run(exitFailed, "none of its checkpoints is sound", "-resume")
	check(t, os.RemoveAll(out))
	run(exitDone, "saved", "-resume")
	equal(t, modelSum(t, out), sum)
}

// Folders that are only called like checkpoints, of Hugging Face's Trainer for example, are not
// touched; where one of the name is to be written, they are in the way, and named.
func TestForeignCheckpoints(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	run := func(status int, want string, more ...string) {
		t.Helper()
		got, _, stderr := runHere("", smallRun(t, dir, append([]string{"-out", out, "-save-every", "5"}, more...)...)...)
		if got != status || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit status %d, %s; want %d and %q", more, got, stderr, status, want)
		}
	}
	foreign := func(step string) string {
		name := filepath.Join(out, checkpointPrefix+step, "trainer_state.json")
		check(t, os.MkdirAll(filepath.Dir(name), 0o777))
		check(t, os.WriteFile(name, []byte("{}"), 0o666))
		return name
	}
	early := foreign("5")
	run(exitFailed, "has checkpoints of a training, such as "+filepath.Dir(early), "-resume")
	check(t, os.RemoveAll(out))
	run(exitDone, "saved")
	check(t, os.RemoveAll(filepath.Join(out, "checkpoint-30-finished")))
	early, later, late := foreign("5"), foreign("28"), foreign("31")
	run(exitFailed, filepath.Dir(later)+" is no checkpoint of pretrain", "-resume")
	check(t, os.RemoveAll(filepath.Dir(later)))
	run(exitDone, "going on from "+filepath.Join(out, "checkpoint-25-finished"), "-resume")
	for _, name := range []string{early, late} {
		equal(t, exists(name), true, name)
	}
	equal(t, CheckpointsIn(out), []string{filepath.Join(out, "checkpoint-30-finished"), filepath.Join(out, "checkpoint-25-finished")})
}

// What is in training.json cannot make the program go wrong.
func FuzzTraining(f *testing.F) {
	f.Add("  \"step\": 5, \"skipped_steps\": 1, \"settings\": {\"steps\": \"9\"}}\n")
	f.Add("\"step\": 9223372036854775808}")
	f.Fuzz(func(t *testing.T, rest string) {
		s, err := parseTraining(fmt.Appendf(nil, sumLine+"%s", sumOf([]byte(rest)), rest))
		if err == nil && (s.Step < 0 || s.Skipped > s.Step) {
			t.Errorf("%+v was accepted", s)
		}
		if _, err := parseTraining([]byte(rest)); err == nil {
			t.Error("it was accepted without its sum")
		}
	})
}
