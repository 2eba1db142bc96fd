package main

import (
	"fmt"
	"iter"
	"math"
)

// Step 6 of the lesson, watching it learn: how well the model does on what it has never
// seen, the numbers that are reported, and warnings about what usually goes wrong.

// metricsFile is the file of a run's folder that has all its metrics.
const metricsFile = "metrics.jsonl"

// Metrics are a line of metrics.jsonl. For split "train", losses and accuracies are means
// since the line before, the learning rate and the norm those of the last step; for
// "heldout" they are of the documents held out of training.
type Metrics struct {
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
	Skipped         int      `json:"skipped_steps,omitempty"` // so far
	*EvalMetrics
}

// EvalMetrics are what is measured in an evaluation alone.
type EvalMetrics struct {
	Perplexity      float64    `json:"mlm_perplexity"` // e^loss: as unsure as if it chose among that many tokens
	Top5            float64    `json:"mlm_top5"`       // share of labels among the first five guesses
	Masked          float64    `json:"masked_accuracy"`
	Replaced        float64    `json:"random_accuracy"` // where another token stands in its place
	Kept            float64    `json:"kept_accuracy"`
	UnigramLoss     float64    `json:"unigram_loss"`
	UnigramAccuracy float64    `json:"unigram_accuracy"`
	NSPInterval     [2]float64 `json:"nsp_interval"`  // of the accuracy, 95%
	SaidNext        float64    `json:"nsp_said_next"` // share of pairs taken for IsNext
}

// NewMetrics are the means of some totals.
func NewMetrics(step, tokens int, split string, t Totals) Metrics {
	return Metrics{
		Step: step, Split: split, Tokens: tokens,
		MLMLoss: ratio(t.MLMLoss, t.MLMCount), MLMAccuracy: ratio(float64(t.MLMCorrect), t.MLMCount),
		NSPLoss: ratio(t.NSPLoss, t.NSPCount), NSPAccuracy: ratio(float64(t.NSPCorrect), t.NSPCount),
	}
}

// Unigram guesses by how common a token is, whatever stands round it: what a model
// has to do better than.
type Unigram struct {
	losses []float64 // of each token: −ln of its share
	best   int32     // the commonest
}

// newUnigram is made of how often each token occurs. One is added to each, so that
// what has not been seen is not impossible.
func newUnigram(counts []int) *Unigram {
	u := &Unigram{losses: make([]float64, len(counts))}
	total := 0
	for id, n := range counts {
		total += n + 1
		if n > counts[u.best] {
			u.best = int32(id)
		}
	}
	for id, n := range counts {
		u.losses[id] = ln(float64(total) / float64(n+1))
	}
	return u
}

// Unigram is that of some documents.
func (c *Corpus) Unigram(documents []int, vocabSize int) *Unigram {
	counts := make([]int, vocabSize)
	for _, d := range documents {
		end := c.sentences.At(c.documents[d+1])
		for i := c.sentences.At(c.documents[d]); i < end; i++ {
			counts[c.Token(i)]++
		}
	}
	return newUnigram(counts)
}

// UnigramOf is that of examples, with what was hidden in its place.
func UnigramOf(examples iter.Seq[Example], vocabSize int) *Unigram {
	counts := make([]int, vocabSize)
	for e := range examples {
		for _, id := range e.Tokens {
			counts[id]++
		}
		for i, at := range e.Targets {
			counts[e.Tokens[at]]--
			counts[e.Labels[i]]++
		}
	}
	return newUnigram(counts)
}

// An Evaluation is how well a model does on examples: totals, and what they are made of.
type Evaluation struct {
	Totals
	Top5           int            // labels among the first five guesses
	Kinds          [kinds]guessed // tokens to be guessed, by what stands in their place
	SaidNext       int            // pairs taken for IsNext
	UnigramLoss    float64
	UnigramCorrect int
}

// What the model sees where a token is to be guessed.
const (
	hidden   = iota // [MASK]
	replaced        // another token
	kept            // the token itself
	kinds
)

// seenNames are these in words.
var seenNames = [kinds]string{"masked", "replaced", "kept"}

// SeenAs is what was done to a token that is to be guessed, by what the model sees in its place.
func SeenAs(token, sees, mask int32) int {
	switch sees {
	case mask:
		return hidden
	case token:
		return kept
	}
	return replaced
}

type guessed struct{ count, correct int }

// evaluationBatch is how many examples are tried at a time.
const evaluationBatch = 32

// Evaluate returns how well the model does on examples, without dropout. mask is the id
// of [MASK]; u may be nil.
func Evaluate(m *Model, examples iter.Seq[Example], mask int32, u *Unigram) Evaluation {
	m.NoDropout()
	var sum Evaluation
	var b Batch
	b.Reset()
	try := func() {
		m.Forward(&b)
		sum.countTop5(m.mlmLogits, b.Labels) // before Loss, which overwrites the logits
		sum.Add(m.Loss(&b))
		sum.count(&b, m.mlmLoss.best, m.nspLoss.best, mask)
		sum.addUnigram(b.Labels, u)
		b.Reset()
	}
	for e := range examples {
		if b.AddExample(e); len(b.NextLabels) == evaluationBatch {
			try()
		}
	}
	if len(b.NextLabels) > 0 {
		try()
	}
	return sum
}

// countTop5 counts the labels to which fewer than five tokens are preferred.
func (e *Evaluation) countTop5(logits []float32, labels []int32) {
	classes := len(logits) / len(labels)
	in := make([]int, len(labels))
	parallel(len(labels), 1, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row, better := logits[r*classes:][:classes], 0
			for _, x := range row {
				if x > row[labels[r]] {
					better++
				}
			}
			if better < 5 {
				in[r] = 1
			}
		}
	})
	for _, n := range in {
		e.Top5 += n
	}
}

// count takes the answers of a batch apart; mlm and nsp say which are right.
func (e *Evaluation) count(b *Batch, mlm, nsp []bool, mask int32) {
	for i, row := range b.Targets {
		kind := &e.Kinds[SeenAs(b.Labels[i], b.Tokens[row], mask)]
		if kind.count++; mlm[i] {
			kind.correct++
		}
	}
	for i, label := range b.NextLabels {
		if nsp[i] == (label == 0) {
			e.SaidNext++
		}
	}
}

// Metrics are the line of metrics.jsonl.
func (e *Evaluation) Metrics(step, tokens int) Metrics {
	r := NewMetrics(step, tokens, "heldout", e.Totals)
	share := func(k int) float64 { return ratio(float64(e.Kinds[k].correct), e.Kinds[k].count) }
	low, high := interval(e.NSPCorrect, e.NSPCount)
	r.EvalMetrics = &EvalMetrics{
		Perplexity: min(math.Exp(r.MLMLoss), math.MaxFloat64), Top5: ratio(float64(e.Top5), e.MLMCount),
		Masked: share(hidden), Replaced: share(replaced), Kept: share(kept),
		UnigramLoss: ratio(e.UnigramLoss, e.MLMCount), UnigramAccuracy: ratio(float64(e.UnigramCorrect), e.MLMCount),
		NSPInterval: [2]float64{low, high}, SaidNext: ratio(float64(e.SaidNext), e.NSPCount),
	}
	return r
}

// interval says between what, with 95% confidence, the true share of right answers lies
// where correct of n are right (Wilson's interval).
func interval(correct, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.96
	p, count := float64(correct)/float64(n), float64(n)
	middle := p + z*z/(2*count)
	half := float64(z * math.Sqrt(float64(p*(1-p)/count)+z*z/(4*count*count)))
	scale := 1 + z*z/count
	return max(0, (middle-half)/scale), min(1, (middle+half)/scale)
}

// addUnigram adds how well the unigram guesses.
func (e *Evaluation) addUnigram(labels []int32, u *Unigram) {
	if u == nil {
		return
	}
	for _, id := range labels {
		e.UnigramLoss += u.losses[id]
		if id == u.best {
			e.UnigramCorrect++
		}
	}
}

// A Watch knows what usually goes wrong in training, and says each thing once.
type Watch struct {
	norm                    float64 // a running mean of the gradient's norm
	unigram, oneClass, grew bool    // what has been said
}

// patience is for how many steps a model may look as if it did not learn.
const patience = 200

// OfEvaluation returns warnings about a model that has not begun to learn after half of
// its steps.
func (w *Watch) OfEvaluation(e *Evaluation, u *Unigram, step int, s *Settings) (warnings []string) {
	r := e.Metrics(0, 0)
	if step < max(patience, s.Steps/2, s.Warmup) {
		return nil
	}
	if !w.unigram && u != nil && r.MLMLoss > r.UnigramLoss-0.05 {
		w.unigram = true
		warnings = append(warnings, fmt.Sprintf("the MLM loss, %.2f, is no better than that of guessing by how common a token is, %.2f: it takes more steps, or another -lr (now %v)",
			r.MLMLoss, r.UnigramLoss, s.LearningRate))
	}
	if !w.oneClass && e.NSPCount >= 50 && (r.SaidNext < 0.05 || r.SaidNext > 0.95) {
		w.oneClass = true
		warnings = append(warnings, fmt.Sprintf("next sentence prediction gives one answer to nearly all pairs (IsNext to %.0f%%): it takes more steps, longer sequences, or another -lr (now %v)",
			100*r.SaidNext, s.LearningRate))
	}
	return warnings
}

// OfNorm returns a warning about a gradient that is much larger than those before it,
// or "".
func (w *Watch) OfNorm(norm float64, step int, s *Settings) (warning string) {
	if mean := w.norm; !w.grew && step > 20 && norm > 100 && norm > 20*mean {
		w.grew = true
		warning = fmt.Sprintf("step %d: the norm of the gradient is %.0f, its mean until now %.2g: -lr %v may be too high", step, norm, mean, s.LearningRate)
	}
	w.norm = float64(0.9*w.norm) + float64(0.1*norm)
	return warning
}
