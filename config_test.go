package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The parameters of a configuration are as many as a model of it has.
func TestParameterCount(t *testing.T) {
	small := smallModel(t).Config
	for _, c := range []Config{small, asClassifier(small, "a", "b", "c"), asAnswerer(small)} {
		m, err := NewModel(c, 1)
		check(t, err)
		if got, want := c.Parameters(), int64(len(m.Value)); got != want {
			t.Errorf("%s is said to have %d parameters, and has %d", c.Architecture(), got, want)
		}
	}
}

// The sizes are the published ones, and the paper's recipe has the paper's settings,
// but for what is given.
func TestSizesAndRecipe(t *testing.T) {
	for size, want := range map[string]int{"tiny": 4_385_920, "mini": 11_170_560, "small": 28_763_648, "medium": 41_373_184, "base": 109_482_240, "large": 335_141_888} {
		c := DefaultConfig()
		c.VocabSize = 30522
		c.SetSize(sizes[size])
		m, err := NewEmptyModel(c)
		check(t, err)
		got := 0
		for _, p := range m.List {
			if strings.HasPrefix(p.Name, "bert.") {
				got += p.Size()
			}
		}
		if got != want {
			t.Errorf("BERT-%s has %d parameters, want %d", size, got, want)
		}
	}
	c := &call{flags: flag.NewFlagSet("", flag.ContinueOnError)}
	s := DefaultSettings()
	c.modelFlags()
	c.trainingFlags(&s)
	check(t, c.flags.Parse([]string{"-seed", "5", "-lr", "2e-4"}))
	check(t, c.useRecipe("paper"))
	s.Complete()
	check(t, s.Check())
	equal(t, [...]int{s.Steps, s.Batch, s.MaxSeq, s.ShortSeq, s.ShortSteps(), s.Warmup, int(s.Seed)}, [...]int{1_000_000, 256, 512, 128, 900_000, 10_000, 5})
	equal(t, [...]float64{s.LearningRate, s.Beta1, s.Beta2, s.WeightDecay}, [...]float64{2e-4, 0.9, 0.999, 0.01})
	equal(t, c.flags.Lookup("size").Value.String(), "base")
	var usage usageError
	if err := c.useRecipe("cake"); !errors.As(err, &usage) {
		t.Errorf("the error is %v", err)
	}
}

// No config.json makes the program go wrong.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"vocab_size": 30522, "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		name := filepath.Join(t.TempDir(), configFile)
		check(t, os.WriteFile(name, data, 0o666))
		if c, err := loadConfig(name); err == nil {
			if _, err := NewEmptyModel(c); err != nil {
				t.Errorf("%+v was accepted, but: %v", c, err)
			}
		}
	})
}
