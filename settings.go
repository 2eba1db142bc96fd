package main

import (
	"fmt"
	"math"
)

// Step 6 of the lesson, how to train: the procedure of the paper in its own numbers
// (appendix A.2), what pretrain does unless it is told otherwise, and what the demo's
// minute allows.
//
//	                the paper                    pretrain          demo
//	text            3.3 billion words            yours             70,000 words
//	vocabulary      30,000                       8,000             2,000
//	model           Base: 12 layers of 768,      tiny: 2 of 128,   2 of 64,
//	                12 heads, 110 million        2 heads,          8 heads,
//	                parameters                   1.5 million       0.2 million
//	first weights   normal, σ = 0.02             σ = 0.02          σ = 0.08
//	steps           1,000,000                    2,000             11,000
//	batch           256 sequences                32                10
//	tokens of one   128; 512 in the last tenth   128               24; from a tenth on 75
//	shorter pairs   a tenth (Google's code)      a tenth           7 of 10
//	Adam's rate     1e-4                         5e-4              4e-3
//	warm-up         10,000 steps, then falling   a tenth           1,700
//	weight decay    0.01                         0.01              0.2
//	β₁, β₂          0.9, 0.999                   0.9, 0.999        0.9, 0.98
//	dropout         0.1                          0.1               none
//	activation      GELU                         GELU              GELU
//	took            4 days on 16 TPU chips       minutes           a minute
//
// (BERT-Large took 64 chips.) pretrain -recipe paper has the left column. Short sequences
// come first because attention costs T². The rate rises at first (warm-up) because AdamW's
// means rest on few gradients then, and falls in the end so that the model settles.

// Settings say how to train.
type Settings struct {
	Steps        int
	Batch        int     // sequences in a batch
	MaxSeq       int     // most tokens of a sequence
	ShortSeq     int     // the same in the first part of the training
	ShortPart    float64 // how much of the steps that is
	ShortSeqProb float64 // share of pairs that are shorter anyway
	LearningRate float64
	Warmup       int    // steps in which the learning rate rises
	Schedule     string // "linear" or "constant"
	Beta1, Beta2 float64
	WeightDecay  float64
	Accumulate   int  // parts in which a batch is worked off, one after the other
	WholeWords   bool // mask whole words
	Seed         uint64
	LogEvery     int // steps between reports
}

// DefaultSettings suit an hour more than a week. AdamW's β and decay are the paper's,
// the share of shorter pairs is that of Google's code; steps, batch, length, rate and
// warm-up are others.
func DefaultSettings() Settings {
	return Settings{
		Steps: 2000, Batch: 32, MaxSeq: 128, ShortSeqProb: 0.1, LearningRate: 5e-4, Warmup: -1, Schedule: "linear",
		Beta1: 0.9, Beta2: 0.999, WeightDecay: 0.01, Accumulate: 1, Seed: 1, LogEvery: 100,
	}
}

// Complete fills in what follows from other settings where it is left open.
func (s *Settings) Complete() {
	if s.ShortSeq == 0 {
		s.ShortSeq = s.MaxSeq
	}
	if s.Warmup == -1 {
		s.Warmup = s.Steps / 10
	}
}

// maxSteps and maxBatch are more than any published training has.
const maxSteps, maxBatch = 1 << 30, 1 << 20

// Check returns an error that names the first setting with an impossible value.
func (s *Settings) Check() error {
	switch {
	case s.Steps < 1 || s.Steps > maxSteps:
		return fmt.Errorf("-steps is %d, want 1 to %d", s.Steps, maxSteps)
	case s.Batch < 1 || s.Batch > maxBatch:
		return fmt.Errorf("-batch is %d, want 1 to %d", s.Batch, maxBatch)
	case s.MaxSeq < minSeq:
		return fmt.Errorf("-max-seq is %d, want %d or more", s.MaxSeq, minSeq)
	case s.ShortSeq < minSeq || s.ShortSeq > s.MaxSeq:
		return fmt.Errorf("-short-seq is %d, want %d to -max-seq, %d", s.ShortSeq, minSeq, s.MaxSeq)
	case !isShare(s.ShortPart):
		return fmt.Errorf("-short-part is %v, want 0 to 1", s.ShortPart)
	case !isShare(s.ShortSeqProb):
		return fmt.Errorf("-short-seq-prob is %v, want 0 to 1", s.ShortSeqProb)
	case !(s.LearningRate >= 0 && s.LearningRate <= 1):
		return fmt.Errorf("-lr is %v, want 0 to 1", s.LearningRate)
	case s.Warmup < 0 || s.Warmup > s.Steps:
		return fmt.Errorf("-warmup is %d, want 0 to -steps, %d, or -1 for a tenth", s.Warmup, s.Steps)
	case s.Schedule != "linear" && s.Schedule != "constant":
		return fmt.Errorf("-schedule is %q, want linear or constant", s.Schedule)
	case !(s.Beta2 >= 0 && s.Beta2 < 1):
		return fmt.Errorf("-beta2 is %v, want at least 0 and below 1", s.Beta2)
	case !(s.WeightDecay >= 0 && s.WeightDecay < 1):
		return fmt.Errorf("-weight-decay is %v, want at least 0 and below 1", s.WeightDecay)
	case s.Accumulate < 1 || s.Accumulate > s.Batch:
		return fmt.Errorf("-accumulate is %d, want 1 to -batch, %d", s.Accumulate, s.Batch)
	case s.LogEvery < 1:
		return fmt.Errorf("-log-every is %d, want 1 or more", s.LogEvery)
	}
	return nil
}

// Rate is the learning rate after t steps: it rises to LearningRate over the
// warm-up, then falls to 0 (or stays). With warm = Warmup and total = Steps,
//
//	LearningRate·t/warm, then LearningRate·(total−t)/(total−warm)
func (s *Settings) Rate(t int) float64 {
	switch {
	case t < s.Warmup:
		return s.LearningRate * float64(t) / float64(s.Warmup)
	case s.Schedule == "constant":
		return s.LearningRate
	}
	return s.LearningRate * float64(s.Steps-t) / float64(s.Steps-s.Warmup)
}

// ShortSteps is the number of steps with short sequences.
func (s *Settings) ShortSteps() int { return int(math.Round(s.ShortPart * float64(s.Steps))) }
