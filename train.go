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
	Seed         uint64
	LogEvery     int // steps between reports
}

// defaultSettings are the paper's, but for the number of steps and the rate,
// which suit an hour more than a week.
func defaultSettings() Settings {
	return Settings{
		Steps: 2000, Batch: 32, MaxSeq: 128, ShortSeqProb: 0.1, LearningRate: 5e-4, Warmup: -1, Schedule: "linear",
		Beta1: 0.9, Beta2: 0.999, WeightDecay: 0.01, Seed: 1, LogEvery: 100,
	}
}

// complete fills in what follows from other settings where it is left open.
func (s *Settings) complete() {
	if s.ShortSeq == 0 {
		s.ShortSeq = s.MaxSeq
	}
	if s.Warmup < 0 {
		s.Warmup = s.Steps / 10
	}
}

// Check returns an error that names the first setting that cannot be.
func (s *Settings) Check() error {
	switch {
	case s.Steps < 1:
		return fmt.Errorf("-steps is %d, want 1 or more", s.Steps)
	case s.Batch < 1:
		return fmt.Errorf("-batch is %d, want 1 or more", s.Batch)
	case s.MaxSeq < minSeq:
		return fmt.Errorf("-max-seq is %d, want %d or more", s.MaxSeq, minSeq)
	case s.ShortSeq < minSeq || s.ShortSeq > s.MaxSeq:
		return fmt.Errorf("-short-seq is %d, want %d to -max-seq, %d", s.ShortSeq, minSeq, s.MaxSeq)
	case !(s.ShortPart >= 0 && s.ShortPart <= 1):
		return fmt.Errorf("-short-part is %v, want 0 to 1", s.ShortPart)
	case !(s.ShortSeqProb >= 0 && s.ShortSeqProb <= 1):
		return fmt.Errorf("-short-seq-prob is %v, want 0 to 1", s.ShortSeqProb)
	case !(s.LearningRate >= 0 && s.LearningRate <= 1):
		return fmt.Errorf("-lr is %v, want 0 to 1", s.LearningRate)
	case s.Warmup > s.Steps:
		return fmt.Errorf("-warmup is %d, want at most -steps, %d", s.Warmup, s.Steps)
	case s.Schedule != "linear" && s.Schedule != "constant":
		return fmt.Errorf("-schedule is %q, want linear or constant", s.Schedule)
	case !(s.Beta2 >= 0 && s.Beta2 < 1):
		return fmt.Errorf("-beta2 is %v, want at least 0 and below 1", s.Beta2)
	case !(s.WeightDecay >= 0 && s.WeightDecay < 1):
		return fmt.Errorf("-weight-decay is %v, want at least 0 and below 1", s.WeightDecay)
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

// shortSteps is the number of steps with short sequences.
func (s *Settings) shortSteps() int { return int(math.Round(s.ShortPart * float64(s.Steps))) }

// AdamW moves each parameter by its gradient's running mean over the root of its
// running mean square, so that all move at a like pace, and shrinks matrices a
// little, whatever their gradient (Loshchilov and Hutter, "Decoupled Weight
// Decay Regularization"; PyTorch's AdamW).
type AdamW struct {
	Beta1, Beta2, WeightDecay float64

	steps         int       // so far
	first, second []float32 // moments, of the shape of Parameters.Value
	pieces        []piece
	squares       []float64 // Σ gradient², piece by piece
	constants     adamwConstants
	decayed       adamwConstants // the same for parameters that decay

	addSquares, update func(lo, hi int)
}

// A piece is a part of a parameter that is worked on at a time.
type piece struct {
	value, grad, first, second []float32
	decay                      bool
}

const pieceSize = 1 << 14

const adamEpsilon = 1e-6 // as in Google's BERT

func newAdamW(ps *Parameters, s *Settings) *AdamW {
	a := &AdamW{
		Beta1: s.Beta1, Beta2: s.Beta2, WeightDecay: s.WeightDecay,
		first: make([]float32, len(ps.Value)), second: make([]float32, len(ps.Value)),
	}
	at := 0
	for _, p := range ps.List {
		for end := at + len(p.Value); at < end; {
			next := min(at+pieceSize, end)
			a.pieces = append(a.pieces, piece{ps.Value[at:next], ps.Grad[at:next], a.first[at:next], a.second[at:next], p.Decay})
			at = next
		}
	}
	a.squares = make([]float64, len(a.pieces))
	a.addSquares, a.update = a.addSquaresOf, a.updatePieces
	return a
}

// Norm is the length of the gradient of all parameters together.
func (a *AdamW) Norm() float64 {
	parallel(len(a.pieces), 1, a.addSquares)
	sum := 0.0
	for _, s := range a.squares {
		sum += s
	}
	return math.Sqrt(sum)
}

func (a *AdamW) addSquaresOf(lo, hi int) {
	for i := lo; i < hi; i++ {
		a.squares[i] = float64(kernels.squares(a.pieces[i].grad, 0))
	}
}

// Step updates the parameters. A gradient whose norm is above 1 is scaled down
// to it.
func (a *AdamW) Step(rate, norm float64) {
	a.steps++
	clip := 1.0
	if norm > 1 {
		clip = 1 / (norm + 1e-6)
	}
	a.constants = adamwConstants{
		beta1: float32(a.Beta1), rest1: float32(1 - a.Beta1),
		beta2: float32(a.Beta2), rest2: float32(1 - a.Beta2),
		clip:    float32(clip),
		root:    float32(1 / math.Sqrt(1-power(a.Beta2, a.steps))),
		epsilon: adamEpsilon,
		rate:    float32(rate / (1 - power(a.Beta1, a.steps))),
		shrink:  1,
	}
	a.decayed = a.constants
	a.decayed.shrink = float32(1 - float64(rate*a.WeightDecay))
	parallel(len(a.pieces), 1, a.update)
}

func (a *AdamW) updatePieces(lo, hi int) {
	for _, p := range a.pieces[lo:hi] {
		c := &a.constants
		if p.decay {
			c = &a.decayed
		}
		kernels.adamw(p.value, p.grad, p.first, p.second, c)
	}
}

// power is xⁿ by squaring, the same on every machine.
func power(x float64, n int) float64 {
	result := 1.0
	for ; n > 0; n /= 2 {
		if n%2 == 1 {
			result = float64(result * x)
		}
		x = float64(x * x)
	}
	return result
}

// A Source has the examples to train on. Fill puts the next n into the batch,
// for a step of the training.
type Source interface {
	Fill(b *Batch, n, step int)
}

// corpusSource takes them from a stream, short ones first.
type corpusSource struct {
	Stream
	settings *Settings
}

func (s *corpusSource) Fill(b *Batch, n, step int) {
	s.MaxTokens = s.settings.MaxSeq
	if step < s.settings.shortSteps() {
		s.MaxTokens = s.settings.ShortSeq
	}
	b.Reset()
	for range n {
		b.Add(s.Next())
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

// A Report is a line of metrics.jsonl. For split "train" it is the mean since the
// report before; for "heldout" the documents held out of training.
type Report struct {
	Step            int      `json:"step"`
	Split           string   `json:"split"`
	Tokens          int      `json:"tokens"` // trained on so far
	MLMLoss         float64  `json:"mlm_loss"`
	MLMAccuracy     float64  `json:"mlm_accuracy"`
	NSPLoss         float64  `json:"nsp_loss"`
	NSPAccuracy     float64  `json:"nsp_accuracy"`
	LearningRate    *float64 `json:"learning_rate,omitempty"`
	GradientNorm    *float64 `json:"gradient_norm,omitempty"`
	TokensPerSecond *float64 `json:"tokens_per_second,omitempty"`
}

func newReport(step, tokens int, split string, s Score) Report {
	return Report{
		Step: step, Split: split, Tokens: tokens,
		MLMLoss: s.MLMLoss / float64(s.MLMCount), MLMAccuracy: float64(s.MLMCorrect) / float64(s.MLMCount),
		NSPLoss: s.NSPLoss / float64(s.NSPCount), NSPAccuracy: float64(s.NSPCorrect) / float64(s.NSPCount),
	}
}

// A Trainer trains a model.
type Trainer struct {
	Model    *Model
	Settings Settings
	Source   Source
	HeldOut  []Example          // to evaluate on; may be empty
	Tick     func(Report)       // called after each step, with the means since the last report
	Report   func(Report) error // called every LogEvery steps and after the last

	optimizer *AdamW
	batch     Batch
	step      int // taken so far
	tokens    int // trained on so far

	sum         Score // since the last report
	since       time.Time
	tokensSince int
}

// heldOutEpochs is how many times the held-out documents are made into examples,
// each time with other pairs and masks.
const heldOutEpochs = 4

// useCorpus trains on a corpus, but for the documents that it holds out.
func (t *Trainer) useCorpus(text *Text, tokenizer *Tokenizer) error {
	corpus, err := NewCorpus(text, tokenizer)
	if err != nil {
		return err
	}
	training, heldOut := corpus.Split(t.Settings.Seed)
	stream := Stream{Corpus: corpus, Tokenizer: tokenizer, Documents: training, Seed: t.Settings.Seed, ShortSeqProb: t.Settings.ShortSeqProb}
	if n := len(corpus.Pairs(training, t.Settings.MaxSeq, 0, 0, 0)); n < t.Settings.Batch {
		return fmt.Errorf("it makes %d pairs an epoch, fewer than -batch, %d", n, t.Settings.Batch)
	}
	t.Source = &corpusSource{stream, &t.Settings}
	if len(heldOut) > 0 {
		stream.Documents, stream.MaxTokens, stream.ShortSeqProb = heldOut, t.Settings.MaxSeq, 0
		for range heldOutEpochs {
			t.HeldOut = append(t.HeldOut, stream.Epoch()...)
		}
	}
	return nil
}

// useExamples trains on a file of examples.
func (t *Trainer) useExamples(name string) error {
	list, err := loadExamples(name, t.Model)
	t.Source = listSource(list)
	return err
}

// Train takes the steps that are left. If ctx ends, it finishes the step and
// returns errInterrupted.
func (t *Trainer) Train(ctx context.Context) error {
	t.optimizer = newAdamW(&t.Model.Parameters, &t.Settings)
	t.since = time.Now()
	for t.step < t.Settings.Steps {
		rate := t.Settings.Rate(t.step)
		score, norm, err := t.Step(rate)
		if err != nil {
			return err
		}
		t.sum.Add(score)
		report := t.trainReport(rate, norm)
		t.Tick(report)
		interrupted := ctx.Err() != nil
		if t.step%t.Settings.LogEvery == 0 || t.step == t.Settings.Steps || interrupted {
			if err := t.report(report); err != nil {
				return err
			}
		}
		if interrupted && t.step < t.Settings.Steps {
			return errInterrupted
		}
	}
	return nil
}

// trainReport is about the steps since the last report.
func (t *Trainer) trainReport(rate, norm float64) Report {
	r := newReport(t.step, t.tokens, "train", t.sum)
	speed := float64(t.tokensSince) / time.Since(t.since).Seconds()
	r.LearningRate, r.GradientNorm, r.TokensPerSecond = &rate, &norm, &speed
	return r
}

// report reports on the training and, if there are such, the held-out documents.
func (t *Trainer) report(training Report) error {
	err := t.Report(training)
	if err == nil && len(t.HeldOut) > 0 {
		err = t.Report(newReport(t.step, t.tokens, "heldout", Evaluate(t.Model, t.HeldOut)))
	}
	t.sum, t.since, t.tokensSince = Score{}, time.Now(), 0
	return err
}

// Step takes one step, and returns how well the model did before it and the norm
// of the gradient. If that is not a number, the step is an error, and not taken.
func (t *Trainer) Step(rate float64) (score Score, norm float64, err error) {
	t.Source.Fill(&t.batch, t.Settings.Batch, t.step)
	t.Model.SetDropout(t.Settings.Seed, t.step)
	clear(t.Model.Grad)

	t.Model.Forward(&t.batch)
	score = t.Model.Loss(&t.batch)
	t.Model.Backward()

	norm = t.optimizer.Norm()
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return score, norm, fmt.Errorf("step %d: the gradient's norm is %v: is -lr %v too high?", t.step+1, norm, t.Settings.LearningRate)
	}
	t.optimizer.Step(rate, norm)
	t.step++
	t.tokens += len(t.batch.Tokens)
	t.tokensSince += len(t.batch.Tokens)
	return score, norm, nil
}

// Evaluate returns how well the model does on examples, without dropout.
func Evaluate(m *Model, examples []Example) Score {
	const batch = 32
	m.NoDropout()
	var sum Score
	var b Batch
	for at := 0; at < len(examples); at += batch {
		b.Reset()
		for _, e := range examples[at:min(at+batch, len(examples))] {
			b.Add(e)
		}
		m.Forward(&b)
		sum.Add(m.Loss(&b))
	}
	return sum
}
