package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What several tests need.

// With this variable set, the test binary is the program itself.
const asProgram = "BERT_TEST_AS_PROGRAM"

// With this one it has so many workers, however few processors there are.
const workersWanted = "BERT_TEST_WORKERS"

// And with this one it leaves in a file how many bytes of memory it has needed.
const memoryFile = "BERT_TEST_MEMORY_FILE"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		if n, err := strconv.Atoi(os.Getenv(workersWanted)); err == nil {
			workers = n
		}
		status := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
		if name := os.Getenv(memoryFile); name != "" {
			bytes, what := mostMemory()
			os.WriteFile(name, fmt.Append(nil, bytes, " bytes ", what), 0o666)
		}
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// mostMemory is the most memory that this process has had, and what that is. Linux
// knows how much was resident, whoever asked for it, and counts anew for each program
// (where getrusage begins with what its parent had). Elsewhere it is what Go has
// asked for.
func mostMemory() (bytes uint64, what string) {
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		_, line, _ := strings.Cut(string(status), "\nVmHWM:")
		if n, err := fmt.Sscanf(line, "%d kB", &bytes); n == 1 && err == nil {
			return bytes << 10, "resident"
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys, "asked for"
}

// runProgram runs the program in a process of its own, with more variables in
// its environment.
func runProgram(t *testing.T, env []string, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), asProgram+"=1"), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		if _, ok := err.(*exec.ExitError); !ok {
			t.Fatal(err)
		}
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// smallModel is a model with random weights, large enough to have a tail in
// every loop, without dropout.
func smallModel(t testing.TB) *Model {
	t.Helper()
	c := DefaultConfig()
	c.VocabSize, c.HiddenSize, c.NumHiddenLayers, c.NumAttentionHeads = 37, 20, 2, 4
	c.IntermediateSize, c.MaxPositionEmbeddings = 28, 24
	c.HiddenDropout, c.AttentionDropout, c.InitializerRange = 0, 0, 0.2
	m, err := NewModel(c, 1)
	check(t, err)
	return m
}

// plainText is documents of sentences.
type plainText struct {
	Documents [][]string
	Invalid   int // bytes that were not UTF-8
}

// readText reads the documents of a file as ReadCorpus would if memory did not matter.
// What is too short for a document at the end goes to the one before.
func readText(r io.Reader) (*plainText, error) {
	t := &plainText{}
	var document []string
	s := scanner{emit: func(b Block) {
		document = append(document, b.Sentences()...)
		if b.EndsDocument(len(document)) {
			t.Documents, document = append(t.Documents, document), nil
		}
	}}
	err := s.scan(r)
	if n := len(t.Documents); len(document) > 0 && n > 0 {
		t.Documents[n-1] = append(t.Documents[n-1], document...)
	} else if len(document) > 0 {
		t.Documents = [][]string{document}
	}
	t.Invalid = s.invalid
	return t, err
}

// totalsOf is how well a model does on examples.
func totalsOf(m *Model, examples []Example) Totals {
	return Evaluate(m, slices.Values(examples), -1, nil).Totals
}

// lines are the sentences of all documents.
func (text *plainText) lines() []string { return slices.Concat(text.Documents...) }

// corpusOf is a text in tokens.
func corpusOf(text *plainText, t *Tokenizer) (*Corpus, error) {
	c := NewCorpus(t)
	for _, sentences := range text.Documents {
		c.add(t, []Block{{lines: sentences}})
	}
	c.endFile()
	return c, c.Check()
}

// useCorpus makes a trainer train on a text.
func useCorpus(trainer *Trainer, text *plainText, t *Tokenizer) error {
	corpus, err := corpusOf(text, t)
	if err != nil {
		return err
	}
	return trainer.UseCorpus(corpus, t)
}

// demoTokenizer has the vocabulary of the demo.
func demoTokenizer(t testing.TB, text *plainText) *Tokenizer {
	t.Helper()
	words, err := TrainVocabulary(CountWords(text.lines(), true), demoVocabulary)
	check(t, err)
	tokenizer, err := NewTokenizer(words, true)
	check(t, err)
	return tokenizer
}

// demoTrainer is the demo's trainer before its first step.
func demoTrainer(t testing.TB) (*Trainer, *Tokenizer) {
	t.Helper()
	s, err := newStory(io.Discard)
	check(t, err)
	return s.trainer, s.t
}

// golden is testdata/golden.json: a small model and three examples, for which
// PyTorch has computed the numbers in testdata/golden.safetensors (testdata/golden.py).
type golden struct {
	Config   Config `json:"config"`
	Examples []struct {
		Tokens    []int32 `json:"tokens"`
		Segments  []int32 `json:"segments"`
		Positions []int32 `json:"positions"`
		Labels    []int32 `json:"labels"`
		NextLabel int32   `json:"next_label"`
	} `json:"examples"`
	GradNorm  float64 `json:"grad_norm"`
	Optimizer struct {
		LearningRate float64      `json:"learning_rate"`
		Beta1        float64      `json:"beta1"`
		Beta2        float64      `json:"beta2"`
		WeightDecay  float64      `json:"weight_decay"`
		Losses       [][2]float64 `json:"losses"`
	} `json:"optimizer"`

	file    *os.File
	tensors map[string]Tensor
}

// loadGolden reads the golden files, and makes the model and the batch in them.
func loadGolden(t *testing.T) (*golden, *Model, *Batch) {
	t.Helper()
	g := &golden{Config: DefaultConfig()}
	data, err := os.ReadFile("testdata/golden.json")
	check(t, err)
	check(t, json.Unmarshal(data, g))
	g.Config.HiddenDropout, g.Config.AttentionDropout = 0, 0

	g.file, err = os.Open("testdata/golden.safetensors")
	check(t, err)
	t.Cleanup(func() { g.file.Close() })
	info, err := g.file.Stat()
	check(t, err)
	g.tensors, err = readSafetensorsHeader(g.file, info.Size())
	check(t, err)

	m, err := NewModel(g.Config, 1)
	check(t, err)
	for _, p := range m.List {
		copy(p.Value, g.tensor(t, "weights/"+p.Name, len(p.Value)))
	}
	b := &Batch{}
	b.Reset()
	for _, e := range g.Examples {
		b.AddExample(Example{Tokens: e.Tokens, Segments: e.Segments, Targets: e.Positions, Labels: e.Labels, NextLabel: e.NextLabel})
	}
	return g, m, b
}

// tensor returns one of PyTorch's tensors, which has to have n numbers.
func (g *golden) tensor(t *testing.T, name string, n int) []float32 {
	t.Helper()
	info, ok := g.tensors[name]
	if !ok || info.Offsets[1]-info.Offsets[0] != int64(n)*bytesOfF32 {
		t.Fatalf("golden.safetensors has no tensor %s of %d numbers", name, n)
	}
	values := make([]float32, n)
	check(t, info.Read(g.file, values))
	return values
}

// near fails unless got is what PyTorch has, within 1e-4 of its greatest element.
//
// The gradient of a key's bias is 0: it adds the same to all scores of a query,
// and the softmax does not see that. Our 1e-8 there are rounding errors.
func (g *golden) near(t *testing.T, name string, got []float32) {
	t.Helper()
	want := g.tensor(t, name, len(got))
	greatest := 0.0
	for _, w := range want {
		greatest = max(greatest, math.Abs(float64(w)))
	}
	if strings.HasPrefix(name, "grads/") && strings.HasSuffix(name, "self.key.bias") {
		greatest = 1e-3
	}
	compare(t, name, got, want, greatest, 1e-4, "PyTorch's")
}

// compare fails unless each number of got is within a share of the greatest from want, and
// says where the first is that is not.
func compare(t *testing.T, name string, got, want []float32, greatest, share float64, whose string) {
	t.Helper()
	worst, first, far := 0.0, -1, 0
	for i := range want {
		off := math.Abs(float64(got[i]) - float64(want[i]))
		worst = max(worst, off)
		if !(off <= share*greatest) {
			if far++; first < 0 {
				first = i
			}
		}
	}
	if testing.Verbose() {
		t.Logf("%-75s %.1g", name, worst/greatest)
	}
	if far > 0 {
		t.Errorf("%s: number %d is %.6g, %s %.6g (%d of %d are off, the greatest being %.2g)", name, first, got[first], whose, want[first], far, len(want), greatest)
	}
}
