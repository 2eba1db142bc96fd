package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Step 6 of the lesson: the loop of training. A step takes a batch forward to its loss and
// backward to the gradients, cuts their norm down to 1 if it is larger, and
// moves every parameter a little against its gradient. The learning rate rises
// at first and then falls to 0. Now and then the model is tried on documents
// that it is not trained on.

// errInterrupted is the error when training was interrupted, as by Ctrl-C.
var errInterrupted = errors.New("interrupted")

// A Trainer trains a model. The fields that are functions may be nil.
type Trainer struct {
	Model     *Model
	Settings  Settings
	Source    Source
	HeldOut   []Example                        // to evaluate on; may be empty
	OnStep    func(Metrics)                    // called after each step, with the means since the last report
	OnReport  func(Metrics) error              // called every LogEvery steps and after the last
	Warn      func(format string, args ...any) // called when something goes wrong, but training goes on
	Save      func() error                     // saves a checkpoint
	SaveEvery int                              // steps between two of them; 0: saveInterval

	optimizer *AdamW
	batch     Batch
	parts     Parts
	state     RunState

	mask    int32    // the token [MASK]
	unigram *Unigram // of the training documents
	watch   Watch

	since       time.Time // the last report
	tokensSince int
	saved       time.Time // the last checkpoint
	savedStep   int
	interrupted <-chan struct{} // closed when Train is to end: leavable (parallel.go) then leaves its work
}

// RunState is how far a training has come. It is saved in a checkpoint.
type RunState struct {
	Step         int     `json:"step"`           // steps done
	Tokens       int     `json:"tokens"`         // trained on so far
	Skipped      int     `json:"skipped_steps"`  // steps that were not taken
	SkippedInRow int     `json:"skipped_in_row"` // how many of the last ones, in a row
	Sum          Totals  `json:"since_report"`   // since the last report
	Norm         float64 `json:"gradient_norm"`  // of the last step
	ReportDue    bool    `json:"report_due"`     // the last step is to be reported still
}

// saveInterval is the time between two checkpoints unless it is given in steps.
const saveInterval = 10 * time.Minute

// maxSkipped is how many steps in a row may be without a sound gradient.
const maxSkipped = 3

// heldOutEpochs is how many times the held-out documents are made into examples,
// each time with other pairs and masks; but no more than heldOutExamples.
const heldOutEpochs, heldOutExamples = 4, 2000

// UseCorpus trains on a corpus, but for the documents that it holds out.
func (t *Trainer) UseCorpus(corpus *Corpus, tokenizer *Tokenizer) error {
	s := &t.Settings
	training, heldOut := corpus.Split(s.Seed)
	if n := corpus.PairsPerEpoch(training, s.MaxSeq); n < s.Batch {
		return fmt.Errorf("it makes %d pairs an epoch, fewer than -batch, %d", n, s.Batch)
	}
	stream := NewStream(corpus, tokenizer, training, s.MaxSeq, s.Seed)
	stream.ShortSeqProb, stream.WholeWords = s.ShortSeqProb, s.WholeWords
	t.Source = &CorpusSource{Stream: stream, settings: s}
	t.mask = tokenizer.mask
	if len(heldOut) > 0 {
		stream := NewStream(corpus, tokenizer, heldOut, s.MaxSeq, s.Seed)
		stream.WholeWords = s.WholeWords
		t.HeldOut = stream.First(heldOutExamples, heldOutEpochs)
		t.unigram = corpus.Unigram(training, t.Model.Config.VocabSize)
	}
	return nil
}

// UseExamples trains on a file of examples.
func (t *Trainer) UseExamples(name string, tokenizer *Tokenizer) error {
	list, err := LoadExamples(name, t.Model, tokenizer)
	t.Source = ListSource(list)
	return err
}

// Train takes the steps that are left, and saves a checkpoint before it says anything about
// it. If ctx ends, it leaves the step or the evaluation that it is in, which can be repeated
// to the bit, saves what was done before, and returns errInterrupted.
func (t *Trainer) Train(ctx context.Context) error {
	if t.optimizer == nil {
		t.optimizer = NewAdamW(&t.Model.Parameters, &t.Settings)
	}
	t.interrupted = ctx.Done()
	t.since, t.saved, t.savedStep = time.Now(), time.Now(), t.state.Step
	for t.state.ReportDue || t.state.Step < t.Settings.Steps {
		work := t.next
		if t.state.ReportDue {
			work = t.report
		}
		err := work()
		whole := errors.Is(err, errInterrupted) || t.state.ReportDue // the steps so far are
		if err != nil && whole {
			err = cmp.Or(t.save(), err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// next takes a step, and saves a checkpoint if it is time for one.
func (t *Trainer) next() error {
	totals, norm, err := t.Step(t.Settings.Rate(t.state.Step))
	if err != nil {
		return err
	}
	t.state.Sum.Add(totals)
	t.state.Norm = norm
	last := t.state.Step == t.Settings.Steps
	t.state.ReportDue = last || t.state.Step%t.Settings.LogEvery == 0
	if t.OnStep != nil {
		t.OnStep(t.metrics())
	}
	if last || t.state.SkippedInRow == 0 && t.saveIsDue() {
		return t.save()
	}
	return nil
}

// save saves a checkpoint, unless the one there is of this step.
func (t *Trainer) save() error {
	if t.Save == nil || t.state.Step == t.savedStep {
		return nil
	}
	t.saved, t.savedStep = time.Now(), t.state.Step
	return t.Save()
}

// saveIsDue tells whether it is time for a checkpoint.
func (t *Trainer) saveIsDue() bool {
	if t.SaveEvery > 0 {
		return t.state.Step%t.SaveEvery == 0
	}
	return time.Since(t.saved) >= saveInterval
}

// metrics are those of the steps since the last report.
func (t *Trainer) metrics() Metrics {
	m := NewMetrics(t.state.Step, t.state.Tokens, "train", t.state.Sum)
	rate, norm := t.Settings.Rate(t.state.Step-1), t.state.Norm
	m.LearningRate, m.GradientNorm, m.Skipped = &rate, &norm, t.state.Skipped
	// A report that an interruption has put off knows no speed, and some clocks go by jerks.
	if seconds := time.Since(t.since).Seconds(); seconds > 0 && t.tokensSince > 0 {
		speed := float64(t.tokensSince) / seconds
		m.TokensPerSecond = &speed
	}
	return m
}

// report reports on the training and, if there are such, the held-out documents.
func (t *Trainer) report() error {
	on := t.OnReport
	if on == nil {
		on = func(Metrics) error { return nil }
	}
	err := on(t.metrics())
	if err == nil && len(t.HeldOut) > 0 {
		var e Evaluation
		if leavable(t.interrupted, func() { e = Evaluate(t.Model, slices.Values(t.HeldOut), t.mask, t.unigram) }) {
			return errInterrupted
		}
		err = on(e.Metrics(t.state.Step, t.state.Tokens))
		for _, warning := range t.watch.OfEvaluation(&e, t.unigram, t.state.Step, &t.Settings) {
			t.warn("%s", warning)
		}
	}
	t.state.Sum, t.state.ReportDue, t.since, t.tokensSince = Totals{}, err != nil, time.Now(), 0
	return err
}

// Step takes one step, and returns how well the model did before it and the
// norm of the gradient. If the loss or the gradient is not a finite number, the step
// is not taken but skipped, and it is an error if that comes maxSkipped times in a row.
func (t *Trainer) Step(rate float64) (totals Totals, norm float64, err error) {
	m, s := t.Model, &t.Settings
	left := leavable(t.interrupted, func() {
		t.Source.Fill(&t.batch, s.Batch, t.state.Step)
		m.SetDropout(s.Seed, t.state.Step)
		clear(m.Grad)
		if s.Accumulate > 1 {
			totals = m.GradientInParts(&t.batch, s.Accumulate, &t.parts)
		} else {
			m.Forward(&t.batch)
			totals = m.Loss(&t.batch)
			m.Backward()
		}
		norm = t.optimizer.Norm()
	})
	if left {
		return totals, 0, errInterrupted
	}
	t.state.Step++
	if loss := totals.MLMLoss + totals.NSPLoss; !finite(loss) || !finite(norm) {
		t.state.Skipped++
		t.state.SkippedInRow++
		t.warn("step %d is not taken: its loss is %v, the norm of its gradient %v", t.state.Step, loss, norm)
		if t.state.SkippedInRow == maxSkipped {
			return Totals{}, 0, fmt.Errorf("step %d: the loss or the gradient was no finite number %d times in a row: is -lr %v too high?", t.state.Step, maxSkipped, s.LearningRate)
		}
		return Totals{}, 0, nil
	}
	t.state.SkippedInRow = 0
	if warning := t.watch.OfNorm(norm, t.state.Step, s); warning != "" {
		t.warn("%s", warning)
	}
	t.optimizer.Step(rate, norm)
	t.state.Tokens += len(t.batch.Tokens)
	t.tokensSince += len(t.batch.Tokens)
	return totals, norm, nil
}

func (t *Trainer) warn(format string, args ...any) {
	if t.Warn != nil {
		t.Warn(format, args...)
	}
}
