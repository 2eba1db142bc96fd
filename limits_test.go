package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
)

// onSystem makes the files in which Linux tells of limits those.
func onSystem(t *testing.T, files map[string]string) {
	before := system
	t.Cleanup(func() { system = before })
	fake := fstest.MapFS{}
	for name, text := range files {
		fake[name] = &fstest.MapFile{Data: []byte(text)}
	}
	system = fake
}

// The smallest limit counts: the machine's, the process's own group's or that of a group
// around it, be it told by version 1 of control groups or version 2, in a container or
// outside. "max" and -1 are no limits.
func TestLimits(t *testing.T) {
	const meminfo, version2 = "MemTotal:       16384 kB\nMemFree: 1 kB\n", "0::/user/session\n"
	const version1 = "5:cpu,cpuacct:/docker/a\n4:memory:/docker/a\n0::/\n"
	for _, test := range []struct {
		name   string
		files  map[string]string
		cpus   int
		memory float64
	}{
		{"nothing known", nil, 64, 1 << 41},
		{"no limit", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": version2, "sys/fs/cgroup/user/session/cpu.max": "max 100000\n", "sys/fs/cgroup/user/session/memory.max": "max\n"}, 64, 1 << 24},
		{"version 2", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": version2, "sys/fs/cgroup/user/session/cpu.max": "150000 100000\n", "sys/fs/cgroup/user/session/memory.max": "4096\n"}, 2, 4096},
		{"a group around it", map[string]string{"proc/self/cgroup": version2, "sys/fs/cgroup/cpu.max": "50000 100000\n", "sys/fs/cgroup/user/session/cpu.max": "max 100000", "sys/fs/cgroup/user/memory.max": "5000\n"}, 1, 5000},
		{"version 1", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": version1, "sys/fs/cgroup/cpu/docker/a/cpu.cfs_quota_us": "300000\n", "sys/fs/cgroup/cpu/docker/a/cpu.cfs_period_us": "100000\n", "sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes": "8192\n"}, 3, 8192},
		{"version 1 in a container", map[string]string{"proc/self/cgroup": version1, "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "8192\n"}, 64, 8192},
	} {
		onSystem(t, test.files)
		if cpus, all := processors(), min(runtime.GOMAXPROCS(0), runtime.NumCPU()); cpus != min(test.cpus, all) {
			t.Errorf("%s: %d processors, want %d", test.name, cpus, test.cpus)
		}
		if memory, whose := memoryLimit(); memory != min(test.memory, addressLimit) {
			t.Errorf("%s: %v bytes (%s), want %v", test.name, memory, whose, test.memory)
		}
	}
	// More goroutines than processors would wait for one another.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(64))
	onSystem(t, nil)
	equal(t, processors(), runtime.NumCPU())
}

// What takes more memory than there is says so in a line, with what to do, before it takes any:
// a model, before its text is read; a batch of a corpus or of examples; a fine-tuning.
func TestMemoryIsThere(t *testing.T) {
	dir := t.TempDir()
	model, file := filepath.Join(dir, "model"), filepath.Join(dir, "examples.jsonl")
	if status, _, stderr := runHere("", smallRun(t, dir, "-out", model, "-steps", "1")...); status != exitDone {
		t.Fatal(stderr)
	}
	status, text, stderr := runHere("", "examples", "-model", model, "-max-seq", "16", "-corpus", filepath.Join(dir, "corpus.txt"))
	if status != exitDone {
		t.Fatal(stderr)
	}
	check(t, os.WriteFile(file, []byte(text), 0o666))
	huge, err := os.Create(filepath.Join(dir, "huge.txt"))
	check(t, err)
	check(t, huge.Truncate(1<<36)) // a hole, which takes no room
	huge.Close()
	for _, test := range []struct {
		megabytes int
		args      string
		want      string
	}{
		{1000, "pretrain -size base -corpus missing.txt -out %s/new", "AdamW, but this machine has 1.0 GB: take a smaller model (-size"},
		{100, "pretrain -init %[2]s -examples %[3]s -batch 1000000 -out %[1]s/new", "for a batch), but this machine has 105 MB: take a larger -accumulate"},
		{1, "finetune -model %[2]s -task classify -train task.tsv -batch 1000 -out %[1]s/new", "for a batch), but this machine has 1 MB: take a smaller -batch"},
		{16000, "eval -model %[2]s -max-seq 16 -corpus %[1]s/huge.txt", "34.4 GB of memory for the text, but this machine has 16.8 GB: take less of it"},
		{0, "fill -model %[2]s [MASK]", "model.safetensors: it would take about"},
	} {
		onSystem(t, map[string]string{"proc/meminfo": fmt.Sprintf("MemTotal: %d kB", 1024*test.megabytes)})
		status, _, stderr := runHere("", strings.Fields(fmt.Sprintf(test.args+"%.0[1]s%.0[2]s%.0[3]s", dir, model, file))...)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		if last := lines[len(lines)-1]; status != exitFailed || !strings.Contains(last, test.want) {
			t.Errorf("%s: exit status %d, %s, want %q", test.args, status, last, test.want)
		}
		if exists(filepath.Join(dir, "new")) {
			t.Errorf("%s: there is a folder", test.args)
		}
	}
}

// A disk without room for what is saved is found before the text is read.
func TestRoomIsThere(t *testing.T) {
	defer func(before func(string) float64) { freeSpace = before }(freeSpace)
	model, out := savedDir(t), filepath.Join(t.TempDir(), "new")
	for _, test := range []struct {
		free       float64
		args, want string
	}{
		{1e6, "pretrain -size tiny -corpus missing.txt", "new has room for 1 MB, want 37 MB for two checkpoints: take another -out"},
		{0, "finetune -task classify -train missing.txt -model " + model, "new has room for 0 MB, want 0 MB for the best epoch and"},
		{0, "demo", "new has room for 0 MB, want 1 MB for the model: "},
	} {
		freeSpace = func(string) float64 { return test.free }
		status, stdout, stderr := runHere("", append(strings.Fields(test.args), "-out", out)...)
		if status != exitFailed || !strings.Contains(stderr, test.want) || stdout != "" {
			t.Errorf("%s: exit status %d, %s, want %q", test.args, status, stderr, test.want)
		}
	}
}
