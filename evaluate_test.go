package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// The 95% interval is Wilson's.
func TestInterval(t *testing.T) {
	low, high := interval(8, 10)
	if math.Abs(low-0.4902) > 1e-4 || math.Abs(high-0.9433) > 1e-4 {
		t.Errorf("8 of 10: %.4f to %.4f, want 0.4902 to 0.9433", low, high)
	}
	low, high = interval(0, 0)
	equal(t, [2]float64{low, high}, [2]float64{0, 1})
}

// The parts of an evaluation add up: by kind to all, and top 1 within top 5; and
// guessing by frequency is as surprised as the text is unpredictable.
func TestEvaluate(t *testing.T) {
	trainer := smallTrainer(t)
	e := Evaluate(trainer.Model, slices.Values(trainer.HeldOut), trainer.mask, trainer.unigram)
	count, correct := 0, 0
	for _, k := range e.Kinds {
		count, correct = count+k.count, correct+k.correct
	}
	equal(t, [2]int{count, correct}, [2]int{e.MLMCount, e.MLMCorrect})
	if e.Top5 < e.MLMCorrect || e.Top5 == 0 || e.Top5 == e.MLMCount {
		t.Errorf("%d of %d are among the first five, %d first", e.Top5, e.MLMCount, e.MLMCorrect)
	}
	u := newUnigram([]int{0, 2, 5})
	equal(t, u.best, int32(2))
	for id, want := range []float64{math.Log(10), math.Log(10. / 3), math.Log(10. / 6)} {
		if math.Abs(u.losses[id]-want) > 1e-12 {
			t.Errorf("token %d: %v, want %v", id, u.losses[id], want)
		}
	}
}

// The warnings know a model that has not begun to learn, one that gives all pairs
// the same answer, and a gradient that explodes; and say so once.
func TestWarnings(t *testing.T) {
	trainer := smallTrainer(t)
	var warnings []string
	trainer.Warn = func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	trainer.Settings.LearningRate, trainer.Settings.Steps, trainer.Settings.LogEvery = 0, patience+20, 10
	check(t, trainer.Train(t.Context()))
	all := strings.Join(warnings, "\n")
	if strings.Count(all, "the MLM loss") != 1 {
		t.Errorf("without learning the warnings are %q", all)
	}
	oneAnswer := &Evaluation{Totals: Totals{NSPCount: 100, NSPCorrect: 50}, SaidNext: 98}
	for range 2 {
		warnings = append(warnings, trainer.watch.OfEvaluation(oneAnswer, nil, patience+20, &trainer.Settings)...)
	}
	for range 30 {
		trainer.watch.OfNorm(2, 100, &trainer.Settings)
	}
	for _, norm := range []float64{500, 5000} {
		warnings = append(warnings, trainer.watch.OfNorm(norm, 101, &trainer.Settings))
	}
	all = strings.Join(warnings, "\n")
	for _, want := range []string{"IsNext to 98%", "the norm of the gradient is 500, its mean until now 2"} {
		if strings.Count(all, want) != 1 {
			t.Errorf("the warnings are %q, want %q once", all, want)
		}
	}
	if strings.Contains(all, "5000") {
		t.Error("a warning is given twice")
	}
}
