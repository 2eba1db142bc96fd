package main

import (
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// costTrainer has the demo's corpus and a model of some size, before its first step.
func costTrainer(t *testing.T) *Trainer {
	trainer, tokenizer := demoTrainer(t)
	c := DefaultConfig()
	c.VocabSize, c.HiddenSize, c.NumHiddenLayers, c.NumAttentionHeads = len(tokenizer.Vocabulary), 96, 3, 4
	c.IntermediateSize, c.MaxPositionEmbeddings = 256, 128
	m, err := NewModel(c, 1)
	check(t, err)
	trainer.Model, trainer.Settings.Batch = m, 32
	return trainer
}

// The operations that a step is said to take are those that it takes: all terms of all
// sums of its products, counted.
func TestOperationsAreCounted(t *testing.T) {
	trainer := costTrainer(t)
	m := trainer.Model
	var b Batch
	trainer.Source.Fill(&b, 32, 5000)
	var terms atomic.Int64
	before := kernels
	defer func() { kernels = before }()
	kernels.tile = func(t *tile) {
		terms.Add(int64(t.rows * t.cols * t.depth))
		before.tile(t)
	}
	m.Forward(&b)
	m.Loss(&b)
	m.Backward()
	if got, want := m.Config.Operations(&b), 2*terms.Load(); got != want {
		t.Errorf("a step is said to take %d operations, and takes %d", got, want)
	}
}

// The memory that a training is said to need is what it needs, within a sixth.
func TestMemoryIsKnown(t *testing.T) {
	memory := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for _, parts := range []int{1, 4} {
		trainer := costTrainer(t)
		config := trainer.Model.Config
		trainer.Model = nil
		old := memory()
		m, err := NewModel(config, 1)
		check(t, err)
		trainer.Model, trainer.Settings.Accumulate = m, parts
		trainer.optimizer = NewAdamW(&m.Parameters, &trainer.Settings)
		trainer.state.Step = trainer.Settings.Steps / 2 // where sequences are long
		for range 3 {
			_, _, err := trainer.Step(0)
			check(t, err)
		}
		Evaluate(m, slices.Values(trainer.HeldOut), trainer.mask, nil)
		needed := memory() - old
		said := 4 * max(CostOf(&m.Config, &trainer.Settings, trainer.Source).Floats, costOfHeldOut(trainer).Floats)
		t.Logf("in %d parts: said %.2f MB, needed %.2f", parts, said/1e6, needed/1e6)
		if said < 0.95*needed || said > 1.17*needed {
			t.Errorf("in %d parts a training is said to need %.2f MB, and needs %.2f", parts, said/1e6, needed/1e6)
		}
		runtime.KeepAlive(trainer)
	}
}

// pretrain -plan says what a training costs, and does nothing.
func TestPlan(t *testing.T) {
	dir := t.TempDir()
	args := smallRun(t, dir, "-plan", "-steps", "1000", "-accumulate", "2")
	status, stdout, stderr := runHere("", args...)
	for _, want := range []string{"model ", "parameters\n", "1,000 steps of 2 sequences\n", "times through the text\n", "multiplications and additions\n", "held out ", "MB, ", "GFLOP/s"} {
		if status != exitDone || !strings.Contains(stdout, want) {
			t.Errorf("exit status %d, %q, want %q; %s", status, stdout, want, stderr)
		}
	}
	equal(t, grouped(1234567.4), "1,234,567")
	equal(t, grouped(12), "12")
	equal(t, inWords(100), "100 seconds")
	equal(t, inWords(3600*50), "2.1 days")

	// Its memory is what the process takes, with the garbage that may lie.
	trainer := costTrainer(t)
	var out strings.Builder
	check(t, (&call{stdout: &out}).plan(trainer))
	inUse := 4 * max(CostOf(&trainer.Model.Config, &trainer.Settings, trainer.Source).Floats, costOfHeldOut(trainer).Floats)
	equal(t, strings.Contains(out.String(), "about "+grouped(1.3*inUse/1e6)+" MB,"), true, out.String())
}
