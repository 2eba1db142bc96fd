package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// The ground: what there is of processors and memory. A container or a service may have less
// than its machine; what takes more is slowed down, or killed without a word.

// system has the files in which Linux tells a process what it may take. Elsewhere there are
// none, and so no limits are known.
var system fs.FS = os.DirFS("/")

// numbersIn are the numbers at the beginning of each of some files of the system: none if
// there is no such file, or if it says that there is no limit.
func numbersIn(dir string, names ...string) (list []float64) {
	for _, name := range names {
		data, _ := fs.ReadFile(system, path.Join(dir, name))
		for _, field := range strings.Fields(string(data)) {
			x, err := strconv.ParseFloat(field, 64)
			if err != nil || x < 0 {
				break
			}
			list = append(list, x)
		}
	}
	return list
}

// controlGroups are the folders of the groups that this process is in (cgroup v2, and v1 with
// one hierarchy for each controller), and of those around them: each may have limits.
func controlGroups(controller string) (dirs []string) {
	data, _ := fs.ReadFile(system, "proc/self/cgroup")
	for line := range strings.Lines(string(data)) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), ":")
		controllers, dir, _ := strings.Cut(line, ":")
		root := "sys/fs/cgroup"
		if slices.Contains(strings.Split(controllers, ","), controller) {
			root = path.Join(root, controller)
		} else if controllers != "" {
			continue
		}
		for dir = path.Join("/", dir); dir != "/"; dir = path.Dir(dir) {
			dirs = append(dirs, path.Join(root, dir))
		}
		dirs = append(dirs, root)
	}
	return dirs
}

// processors is how many processors there are to use: those that the process may run on, but
// no more than GOMAXPROCS, and no more than the quota of a container, rounded up.
func processors() int {
	n := float64(min(runtime.GOMAXPROCS(0), runtime.NumCPU()))
	for _, dir := range controlGroups("cpu") {
		quota := numbersIn(dir, "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us") // and the period that it is for
		if len(quota) == 2 && quota[0] > 0 && quota[1] > 0 {
			n = min(n, math.Ceil(quota[0]/quota[1]))
		}
	}
	return int(n)
}

// addressLimit is how many bytes of addresses the process may take (ulimit -v), machineMemory
// how many bytes of memory there are, where Linux's files do not tell.
var addressLimit, machineMemory = math.Inf(1), math.Inf(1)

// memoryLimit is how many bytes of memory there are for the process, and whose limit that is.
func memoryLimit() (bytes float64, whose string) {
	bytes, whose = min(1<<41, float64(math.MaxInt)), "a process" // where nothing is known
	less := func(than float64, by string) {
		if than < bytes {
			bytes, whose = than, by
		}
	}
	less(addressLimit, "a process (ulimit -v)")
	less(machineMemory, "this machine")
	data, _ := fs.ReadFile(system, "proc/meminfo")
	var kB float64
	if n, _ := fmt.Sscanf(string(data), "MemTotal: %f kB", &kB); n == 1 {
		less(1024*kB, "this machine")
	}
	for _, dir := range controlGroups("memory") {
		for _, limit := range numbersIn(dir, "memory.max", "memory.limit_in_bytes") {
			less(limit, "the container or service that it runs in")
		}
	}
	return bytes, whose
}

// A need is memory that something is going to take.
type need struct {
	what  string
	bytes float64
	less  string // what to do about it
}

// mustFit returns an error if there is less memory than is needed, with what to do about
// the largest need.
func mustFit(needs ...need) error {
	sum, each := 0.0, []string{}
	for _, n := range needs {
		sum += n.bytes
		each = append(each, gigabytes(n.bytes)+" "+n.what)
	}
	limit, whose := memoryLimit()
	if sum <= limit {
		return nil
	}
	parts := needs[0].what
	if len(needs) > 1 {
		parts = "(" + strings.Join(each, ", ") + ")"
	}
	largest := slices.MaxFunc(needs, func(a, b need) int { return cmp.Compare(a.bytes, b.bytes) })
	return fmt.Errorf("it would take about %s of memory %s, but %s has %s: %s", gigabytes(sum), parts, whose, gigabytes(limit), largest.less)
}

// gigabytes is a number of bytes for people to read.
func gigabytes(bytes float64) string {
	if bytes < 1e9 {
		return fmt.Sprintf("%.0f MB", bytes/1e6)
	}
	return fmt.Sprintf("%.1f GB", bytes/1e9)
}

// freeSpace is how many bytes there are for files in a folder, as far as that can be known.
var freeSpace = func(dir string) float64 { return math.Inf(1) }
