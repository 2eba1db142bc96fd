package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A batch worked off in parts, even or uneven, leads to the very bits of the whole.
func TestAccumulatedIsTheSame(t *testing.T) {
	train := func(parts int) []float32 {
		trainer := smallTrainer(t)
		trainer.Settings.Batch, trainer.Settings.Accumulate = 7, parts
		trainer.Model.Config.HiddenDropout, trainer.Model.Config.AttentionDropout = 0.1, 0.2
		check(t, trainer.Train(t.Context()))
		return trainer.Model.Value
	}
	want := train(1)
	for _, parts := range []int{2, 3, 7} {
		equal(t, train(parts), want)
	}
}

// smallTrainer trains a small model for 12 steps on a small corpus.
func smallTrainer(t testing.TB) *Trainer {
	t.Helper()
	text := &plainText{}
	for i := range 40 {
		text.Documents = append(text.Documents, []string{strings.Repeat("a b ", i%5+1), strings.Repeat("c d ", i%3+1), "e"})
	}
	tokenizer, err := NewTokenizer(append(specialTokens[:5:5], strings.Fields("a b c d e")...), true)
	check(t, err)
	s := DefaultSettings()
	s.Steps, s.Batch, s.MaxSeq, s.LogEvery = 12, 4, 20, 4
	s.Complete()
	trainer := &Trainer{Model: smallModel(t), Settings: s}
	check(t, useCorpus(trainer, text, tokenizer))
	return trainer
}

// A step whose loss or gradient is no finite number is not taken, but counted and
// said, and its batch is passed over; after three in a row training stops.
func TestStepsThatAreNotNumbers(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
		trainer := smallTrainer(t)
		var warnings []string
		trainer.Warn = func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
		word := &trainer.Model.List[0].Value[0]
		saved, checkpoints := *word, 0
		trainer.Save = func() error { checkpoints++; return nil }
		trainer.SaveEvery = 1
		broken := func(step int) bool { return step >= 2 && step < 4 || step >= 6 }
		trainer.Source = breaking{trainer.Source, func(step int) {
			saved = *word
			if broken(step) {
				*word = bad
			}
		}}
		var before []float32
		trainer.OnStep = func(r Metrics) {
			if broken(r.Step - 1) {
				*word = saved
				if before != nil {
					equal(t, trainer.Model.Value, before) // nothing has moved
				}
				if r.MLMLoss != 0 && !finite(r.MLMLoss) {
					t.Errorf("step %d reports the loss %v", r.Step, r.MLMLoss)
				}
			}
			before = append(before[:0], trainer.Model.Value...)
		}
		err := trainer.Train(t.Context())
		if err == nil || !strings.Contains(err.Error(), "step 9: the loss or the gradient was no finite number 3 times in a row") {
			t.Errorf("%v: the error is %v", bad, err)
		}
		equal(t, trainer.state.Skipped, 5)
		equal(t, trainer.optimizer.steps, 4)
		equal(t, checkpoints, 4) // none while steps are skipped
		if len(warnings) < 5 || !strings.Contains(warnings[0], "step 3 is not taken") {
			t.Errorf("the warnings are %q", warnings)
		}
	}
}

// breaking is a source that does something to the model first.
type breaking struct {
	Source
	first func(step int)
}

func (s breaking) Fill(b *Batch, n, step int) {
	s.first(step)
	s.Source.Fill(b, n, step)
}

// A run that fails on numbers ends with exit status 1, and the last sound
// checkpoint is there still, from which a run can go on.
func TestFailedRunKeepsItsCheckpoint(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	status, _, stderr := runHere("", smallRun(t, dir, "-out", out, "-save-every", "1", "-lr", "1", "-initializer-range", "0.9", "-weight-decay", "0.9", "-steps", "4", "-log-every", "1")...)
	if status != exitDone {
		t.Fatal(stderr)
	}
	newest := CheckpointsIn(out)[0]
	c, err := loadCheckpoint(newest)
	check(t, err)
	equal(t, c.Step, 4)
	trainer := smallTrainer(t)
	k := &Checkpoints{dir: out, trainer: trainer}
	trainer.Save, trainer.SaveEvery = k.Save, 1
	trainer.Source = breaking{trainer.Source, func(int) { trainer.Model.Value[0] = float32(math.NaN()) }}
	if err := trainer.Train(t.Context()); err == nil {
		t.Error("training without a number has gone to its end")
	}
	again, err := loadCheckpoint(newest)
	check(t, err)
	equal(t, again.model.Value, c.model.Value)
}

// Interrupted from the keyboard, a run finishes its step, saves it and says how to go
// on; gone on with, it ends where it would have ended.
func TestInterrupted(t *testing.T) {
	want := smallTrainer(t)
	check(t, want.Train(t.Context()))

	ctx, interrupt := context.WithCancel(t.Context())
	first := smallTrainer(t)
	first.OnStep = func(r Metrics) {
		if r.Step == 5 {
			interrupt()
		}
	}
	k := &Checkpoints{dir: t.TempDir(), trainer: first, tokenizer: first.Source.(*CorpusSource).Tokenizer}
	first.Model.Config.VocabSize = 37
	first.Save = k.Save
	if err := first.Train(ctx); !errors.Is(err, errInterrupted) {
		t.Fatalf("the error is %v", err)
	}
	c, err := loadCheckpoint(filepath.Join(k.dir, "checkpoint-5"))
	check(t, err)
	second := smallTrainer(t)
	second.Model = c.model
	check(t, second.ResumeFrom(c))
	check(t, second.Train(t.Context()))
	equal(t, second.Model.Value, want.Model.Value)
}

// lossesRun is a training without dropout of 50 steps on 200 made-up examples, in
// which a token mostly follows from the one before it.
func lossesRun(t testing.TB) *Trainer {
	t.Helper()
	c := DefaultConfig()
	c.VocabSize, c.HiddenSize, c.NumHiddenLayers, c.NumAttentionHeads = 61, 32, 2, 4
	c.IntermediateSize, c.MaxPositionEmbeddings = 64, 32
	c.HiddenDropout, c.AttentionDropout, c.InitializerRange = 0, 0, 0.1
	m, err := NewModel(c, 7)
	check(t, err)
	var list ListSource
	for i := range uint64(200) {
		r := random(7, forMasks, i)
		e := Example{Tokens: []int32{2}, Segments: []int32{0}, NextLabel: int32(i % 2)}
		for segment := range int32(2) {
			id := int32(r.IntN(56))
			for range 4 + r.IntN(9) {
				e.Tokens, e.Segments = append(e.Tokens, 5+id), append(e.Segments, segment)
				if id = (3*id + 1 + 7*segment*e.NextLabel) % 56; r.IntN(10) == 0 {
					id = int32(r.IntN(56))
				}
			}
			e.Tokens, e.Segments = append(e.Tokens, 3), append(e.Segments, segment)
		}
		for at := 1 + r.IntN(4); at < len(e.Tokens)-1; at += 3 + r.IntN(6) {
			if e.Tokens[at] != 3 {
				e.Targets, e.Labels = append(e.Targets, int32(at)), append(e.Labels, e.Tokens[at])
				e.Tokens[at] = 4
			}
		}
		check(t, e.check(make([]string, c.VocabSize)))
		list = append(list, e)
	}
	s := DefaultSettings()
	s.Steps, s.Batch, s.LearningRate, s.Warmup, s.LogEvery = 50, 8, 1e-2, 5, 1
	s.Complete()
	return &Trainer{Model: m, Settings: s, Source: list}
}

// export is the folder to write the start of lossesRun to, for testdata/golden.py, which
// computes losses.json from it:
//
//	go test -run LossesArePyTorchs . -args -export run/start
var export = flag.String("export", "", "folder for what losses.json is computed from")

// exportStart writes what a training on a list begins with: the model, the examples,
// and the settings with the learning rate of each step.
func exportStart(t *testing.T, dir string, trainer *Trainer) {
	t.Helper()
	s := &trainer.Settings
	settings := map[string]any{
		"batch": s.Batch, "beta1": s.Beta1, "beta2": s.Beta2, "epsilon": adamEpsilon, "weight_decay": s.WeightDecay, "clip": 1,
	}
	rates := make([]float64, s.Steps)
	for step := range rates {
		rates[step] = s.Rate(step)
	}
	settings["rates"] = rates
	check(t, os.MkdirAll(dir, 0o777))
	check(t, saveFiles(dir, dir, []savedFile{
		{configFile, func(w io.Writer) error { return writeJSON(w, trainer.Model.Config) }},
		{modelFile, func(w io.Writer) error { return WriteSafetensors(w, trainer.Model.List) }},
		{"settings.json", func(w io.Writer) error { return writeJSON(w, settings) }},
		{"examples.jsonl", func(w io.Writer) error {
			encoder := json.NewEncoder(w)
			for _, e := range trainer.Source.(ListSource) {
				if err := encoder.Encode(e); err != nil {
					return err
				}
			}
			return nil
		}},
	}))
}

// The same loss as PyTorch: from the same start, with the same examples and without
// dropout, each of 50 steps has PyTorch's loss within 0.001.
func TestLossesArePyTorchs(t *testing.T) {
	trainer := lossesRun(t)
	if *export != "" {
		exportStart(t, *export, trainer)
	}
	data, err := os.ReadFile("testdata/losses.json")
	check(t, err)
	var want []float64
	check(t, json.Unmarshal(data, &want))
	worst, step := 0.0, 0
	trainer.OnReport = func(r Metrics) error {
		loss := r.MLMLoss + r.NSPLoss
		if step < len(want) {
			worst = max(worst, math.Abs(loss-want[step]))
		}
		if step++; !(worst < 1e-3) {
			t.Fatalf("step %d: the loss is %.6f, PyTorch's %.6f", step, loss, want[step-1])
		}
		return nil
	}
	check(t, trainer.Train(t.Context()))
	equal(t, step, len(want))
	t.Logf("from %.3f to %.3f, at most %.1g from PyTorch's", want[0], want[len(want)-1], worst)
}
