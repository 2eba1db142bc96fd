package main

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Step 6 of the lesson: training. A step takes a batch forward to its loss and
// backward to the gradients, cuts their norm down to 1 if it is larger, and
// moves every parameter a little against its gradient. The learning rate rises
// at first and then falls to 0. Now and then the model is tried on documents
// that it is not trained on.

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

// defaultSettings are the paper's, but for the number of steps and the rate,
// which suit an hour more than a week.
func defaultSettings() Settings {
	return Settings{
		Steps: 2000, Batch: 32, MaxSeq: 128, ShortSeqProb: 0.1, LearningRate: 5e-4, Warmup: -1, Schedule: "linear",
		Beta1: 0.9, Beta2: 0.999, WeightDecay: 0.01, Accumulate: 1, Seed: 1, LogEvery: 100,
	}
}

// complete fills in what follows from other settings where it is left open.
func (s *Settings) complete() {
	if s.ShortSeq == 0 {
		s.ShortSeq = s.MaxSeq
	}
	if s.Warmup == -1 {
		s.Warmup = s.Steps / 10
	}
}

// maxBatch is more sequences than any published batch has.
const maxBatch = 1 << 20

// Check returns an error that names the first setting that cannot be.
func (s *Settings) Check() error {
	switch {
	case s.Steps < 1:
		return fmt.Errorf("-steps is %d, want 1 or more", s.Steps)
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

// isShare is false of NaN, too.
func isShare(x float64) bool { return x >= 0 && x <= 1 }

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

// shortSteps is the number of steps with short sequences.
func (s *Settings) shortSteps() int { return int(math.Round(s.ShortPart * float64(s.Steps))) }

// A Source has the examples to train on. Fill puts the next n into the batch,
// for a step of the training.
type Source interface {
	Fill(b *Batch, n, step int)
}

// corpusSource takes them from a stream, short ones first.
type corpusSource struct {
	Stream
	settings *Settings
	examples []Example
}

// place is where the examples of a step begin: the epoch, and the place there.
// The long ones begin with an epoch of their own.
func (s *corpusSource) place(n, step int) (epoch uint64, at int) {
	s.MaxTokens = s.settings.MaxSeq
	before := 0 // epochs
	if short := s.settings.shortSteps(); s.settings.ShortSeq < s.settings.MaxSeq {
		perEpoch := s.perEpoch(s.settings.ShortSeq)
		if step < short {
			s.MaxTokens = s.settings.ShortSeq
		} else {
			step -= short
			before = (short*n + perEpoch - 1) / perEpoch
		}
	}
	perEpoch := s.perEpoch(s.MaxTokens)
	return uint64(before + step*n/perEpoch + 1), step * n % perEpoch
}

func (s *corpusSource) Fill(b *Batch, n, step int) {
	epoch, at := s.place(n, step)
	s.examples = grow(s.examples, n)
	for done := 0; done < n; epoch, at = epoch+1, 0 {
		s.load(epoch)
		part := s.examples[done:min(n, done+len(s.pairs)-at)]
		s.fill(part, at)
		done += len(part)
	}
	b.Reset()
	for _, e := range s.examples {
		b.Add(e)
	}
}

// listSource takes them from a list, from its beginning again at the end.
type listSource []Example

func (s listSource) Fill(b *Batch, n, step int) {
	b.Reset()
	for i := range n {
		b.Add(s[(step*n+i)%len(s)])
	}
}

// A Trainer trains a model.
type Trainer struct {
	Model    *Model
	Settings Settings
	Source   Source
	HeldOut  []Example                        // to evaluate on; may be empty
	Tick     func(Report)                     // called after each step, with the means since the last report
	Report   func(Report) error               // called every LogEvery steps and after the last
	Warn     func(format string, args ...any) // may be nil

	Save      func() error // saves a checkpoint; nil where none are
	SaveEvery int          // steps between two of them; 0: saveInterval

	optimizer *AdamW
	batch     Batch
	parts     parts
	state     runState

	mask    int32    // the token [MASK]
	unigram *unigram // of the training documents
	watch   watch

	since       time.Time // the last report
	tokensSince int
	saved       time.Time // the last checkpoint
}

// runState is how far a training has come. It is saved in a checkpoint.
type runState struct {
	Step         int   `json:"step"`           // so many are over
	Tokens       int   `json:"tokens"`         // trained on so far
	Skipped      int   `json:"skipped_steps"`  // steps that were not taken
	SkippedInRow int   `json:"skipped_in_row"` // the last so many
	Sum          Score `json:"since_report"`   // since the last report
}

// saveInterval is the time between two checkpoints unless it is given in steps.
const saveInterval = 10 * time.Minute

// maxSkipped is how many steps in a row may be without a sound gradient.
const maxSkipped = 3

// heldOutEpochs is how many times the held-out documents are made into examples,
// each time with other pairs and masks; but no more than heldOutExamples.
const heldOutEpochs, heldOutExamples = 4, 2000

// useCorpus trains on a text, but for the documents that it holds out.
func (t *Trainer) useCorpus(text *Text, tokenizer *Tokenizer) error {
	corpus, err := NewCorpus(text, tokenizer)
	if err != nil {
		return err
	}
	return t.useTokens(corpus, tokenizer)
}

// useTokens is useCorpus for a text in tokens.
func (t *Trainer) useTokens(corpus *Corpus, tokenizer *Tokenizer) error {
	s := &t.Settings
	training, heldOut := corpus.Split(s.Seed)
	stream := Stream{Corpus: corpus, Tokenizer: tokenizer, Documents: training, Seed: s.Seed, ShortSeqProb: s.ShortSeqProb, WholeWords: s.WholeWords}
	if n := corpus.pairsPerEpoch(training, s.MaxSeq); n < s.Batch {
		return fmt.Errorf("it makes %d pairs an epoch, fewer than -batch, %d", n, s.Batch)
	}
	t.Source = &corpusSource{Stream: stream, settings: s}
	t.mask = tokenizer.mask
	if len(heldOut) > 0 {
		stream.Documents, stream.MaxTokens, stream.ShortSeqProb = heldOut, s.MaxSeq, 0
		t.HeldOut = stream.first(heldOutExamples, heldOutEpochs)
		t.unigram = corpus.unigram(training, t.Model.Config.VocabSize)
	}
	return nil
}

// useExamples trains on a file of examples.
func (t *Trainer) useExamples(name string) error {
	list, err := loadExamples(name, t.Model)
	t.Source = listSource(list)
	return err
}

// Train takes the steps that are left. If ctx ends, it finishes the step, saves
// a checkpoint, and returns errInterrupted.
func (t *Trainer) Train(ctx context.Context) error {
	if t.optimizer == nil {
		t.optimizer = newAdamW(&t.Model.Parameters, &t.Settings)
	}
	t.since, t.saved = time.Now(), time.Now()
	for t.state.Step < t.Settings.Steps {
		rate := t.Settings.Rate(t.state.Step)
		score, norm, err := t.Step(rate)
		if err != nil {
			return err
		}
		t.state.Sum.Add(score)
		report := t.trainReport(rate, norm)
		t.Tick(report)
		interrupted, last := ctx.Err() != nil, t.state.Step == t.Settings.Steps
		if t.state.Step%t.Settings.LogEvery == 0 || last {
			if err := t.report(report); err != nil {
				return err
			}
		}
		if t.Save != nil && (interrupted || last || t.state.SkippedInRow == 0 && t.saveIsDue()) {
			if err := t.Save(); err != nil {
				return err
			}
			t.saved = time.Now()
		}
		if interrupted && !last {
			return errInterrupted
		}
	}
	return nil
}

func (t *Trainer) saveIsDue() bool {
	if t.SaveEvery > 0 {
		return t.state.Step%t.SaveEvery == 0
	}
	return time.Since(t.saved) >= saveInterval
}

// trainReport is about the steps since the last report.
func (t *Trainer) trainReport(rate, norm float64) Report {
	r := newReport(t.state.Step, t.state.Tokens, "train", t.state.Sum)
	speed := float64(t.tokensSince) / time.Since(t.since).Seconds()
	r.LearningRate, r.GradientNorm, r.TokensPerSecond, r.Skipped = &rate, &norm, &speed, t.state.Skipped
	return r
}

// report reports on the training and, if there are such, the held-out documents.
func (t *Trainer) report(training Report) error {
	err := t.Report(training)
	if err == nil && len(t.HeldOut) > 0 {
		e := Examine(t.Model, t.HeldOut, t.mask, t.unigram)
		err = t.Report(e.report(t.state.Step, t.state.Tokens))
		t.warnOf(&e)
	}
	t.state.Sum, t.since, t.tokensSince = Score{}, time.Now(), 0
	return err
}

// Step takes one step, and returns how well the model did before it and the
// norm of the gradient. If the loss or the gradient is not a finite number, the step
// is not taken but skipped, and it is an error if that comes maxSkipped times in a row.
func (t *Trainer) Step(rate float64) (score Score, norm float64, err error) {
	t.Source.Fill(&t.batch, t.Settings.Batch, t.state.Step)
	score = t.gradient()
	norm = t.optimizer.Norm()
	t.state.Step++
	if loss := score.MLMLoss + score.NSPLoss; !finite(loss) || !finite(norm) {
		t.state.Skipped++
		t.state.SkippedInRow++
		t.warn("step %d is not taken: its loss is %v, the norm of its gradient %v", t.state.Step, loss, norm)
		if t.state.SkippedInRow == maxSkipped {
			return Score{}, 0, fmt.Errorf("step %d: the loss or the gradient was no finite number %d times in a row: is -lr %v too high?", t.state.Step, maxSkipped, t.Settings.LearningRate)
		}
		return Score{}, 0, nil
	}
	t.state.SkippedInRow = 0
	t.warnOfNorm(norm)
	t.optimizer.Step(rate, norm)
	t.state.Tokens += len(t.batch.Tokens)
	t.tokensSince += len(t.batch.Tokens)
	return score, norm, nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func (t *Trainer) warn(format string, args ...any) {
	if t.Warn != nil {
		t.Warn(format, args...)
	}
}
