package main

import "math"

// Step 6 of the lesson, watching it learn: reports, how well the model does on what
// it has never seen, and warnings about what usually goes wrong.

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
	Skipped         int      `json:"skipped_steps,omitempty"` // so far
	*Details
}

// Details are what a report says of examples that are not trained on.
type Details struct {
	Perplexity      float64    `json:"mlm_perplexity"` // e^loss: as unsure as among so many tokens
	Top5            float64    `json:"mlm_top5"`       // share of labels among the first five guesses
	Masked          float64    `json:"masked_accuracy"`
	Replaced        float64    `json:"random_accuracy"` // where another token stands in its place
	Kept            float64    `json:"kept_accuracy"`
	UnigramLoss     float64    `json:"unigram_loss"`
	UnigramAccuracy float64    `json:"unigram_accuracy"`
	NSPInterval     [2]float64 `json:"nsp_interval"`  // of the accuracy, 95%
	SaidNext        float64    `json:"nsp_said_next"` // share of pairs taken for IsNext
}

func newReport(step, tokens int, split string, s Score) Report {
	return Report{
		Step: step, Split: split, Tokens: tokens,
		MLMLoss: ratio(s.MLMLoss, s.MLMCount), MLMAccuracy: ratio(float64(s.MLMCorrect), s.MLMCount),
		NSPLoss: ratio(s.NSPLoss, s.NSPCount), NSPAccuracy: ratio(float64(s.NSPCorrect), s.NSPCount),
	}
}

// Evaluate returns how well the model does on examples, without dropout.
func Evaluate(m *Model, examples []Example) Score {
	return Examine(m, examples, -1, nil).Score
}

// An Examination is a score and what it is made of.
type Examination struct {
	Score
	Top5           int            // labels among the first five guesses
	Kinds          [kinds]guessed // tokens to be guessed, by what stands in their place
	SaidNext       int            // pairs taken for IsNext
	UnigramLoss    float64
	UnigramCorrect int
}

// What the model sees where a token is to be guessed.
const (
	masked   = iota // [MASK]
	replaced        // another token
	kept            // the token itself
	kinds
)

type guessed struct{ count, correct int }

// Examine returns how well the model does on examples, without dropout. mask is
// the id of [MASK].
func Examine(m *Model, examples []Example, mask int32, u *unigram) Examination {
	const batch = 32
	m.NoDropout()
	var sum Examination
	var b Batch
	for at := 0; at < len(examples); at += batch {
		b.Reset()
		for _, e := range examples[at:min(at+batch, len(examples))] {
			b.Add(e)
		}
		m.Forward(&b)
		sum.countTop5(m.mlmLogits, b.Labels) // before Loss, which overwrites the logits
		sum.Add(m.Loss(&b))
		sum.count(&b, m.mlmLoss.best, m.nspLoss.best, mask)
		sum.addUnigram(b.Labels, u)
	}
	return sum
}

// countTop5 counts the labels to which fewer than five tokens are preferred.
func (e *Examination) countTop5(logits []float32, labels []int32) {
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
func (e *Examination) count(b *Batch, mlm, nsp []bool, mask int32) {
	for i, row := range b.Masked {
		kind := &e.Kinds[replaced]
		switch b.Tokens[row] {
		case mask:
			kind = &e.Kinds[masked]
		case b.Labels[i]:
			kind = &e.Kinds[kept]
		}
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

// report is the line of metrics.jsonl.
func (e *Examination) report(step, tokens int) Report {
	r := newReport(step, tokens, "heldout", e.Score)
	share := func(k int) float64 { return ratio(float64(e.Kinds[k].correct), e.Kinds[k].count) }
	low, high := interval(e.NSPCorrect, e.NSPCount)
	r.Details = &Details{
		Perplexity: min(math.Exp(r.MLMLoss), math.MaxFloat64), Top5: ratio(float64(e.Top5), e.MLMCount),
		Masked: share(masked), Replaced: share(replaced), Kept: share(kept),
		UnigramLoss: ratio(e.UnigramLoss, e.MLMCount), UnigramAccuracy: ratio(float64(e.UnigramCorrect), e.MLMCount),
		NSPInterval: [2]float64{low, high}, SaidNext: ratio(float64(e.SaidNext), e.NSPCount),
	}
	return r
}

// interval is between what shares of right answers the truth lies, with 95%
// confidence, if so many of n were right by chance (Wilson's interval).
func interval(correct, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.96
	p, count := float64(correct)/float64(n), float64(n)
	middle := p + z*z/(2*count)
	width := float64(z * math.Sqrt(float64(p*(1-p)/count)+z*z/(4*count*count)))
	scale := 1 + z*z/count
	return max(0, (middle-width)/scale), min(1, (middle+width)/scale)
}

// unigram guesses by how common a token is, whatever stands round it: what a model
// has to do better than.
type unigram struct {
	losses []float64 // of each token: −ln of its share
	best   int32     // the commonest
}

// newUnigram is made of how often each token occurs. One is added to each, so that
// what has not been seen is not impossible.
func newUnigram(counts []int) *unigram {
	u := &unigram{losses: make([]float64, len(counts))}
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

// unigram is that of some documents.
func (c *Corpus) unigram(documents []int, vocabSize int) *unigram {
	counts := make([]int, vocabSize)
	for _, d := range documents {
		for i := c.sentences.at(c.documents[d]); i < c.sentences.at(c.documents[d+1]); i++ {
			counts[c.token(i)]++
		}
	}
	return newUnigram(counts)
}

// unigramOf is that of examples, with what was hidden in its place.
func unigramOf(examples []Example, vocabSize int) *unigram {
	counts := make([]int, vocabSize)
	for _, e := range examples {
		for _, id := range e.Tokens {
			counts[id]++
		}
		for i, at := range e.Positions {
			counts[e.Tokens[at]]--
			counts[e.Labels[i]]++
		}
	}
	return newUnigram(counts)
}

func (e *Examination) addUnigram(labels []int32, u *unigram) {
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

// watch remembers what warnings need, and what has been said.
type watch struct {
	norm                    float64 // a running mean
	unigram, oneClass, grew bool
}

// patience is for how many steps a model may look as if it did not learn.
const patience = 200

// warnOf warns, once, of a model that has not begun to learn after half of its
// steps.
func (t *Trainer) warnOf(e *Examination) {
	r := e.report(0, 0)
	if t.state.Step < max(patience, t.Settings.Steps/2, t.Settings.Warmup) {
		return
	}
	if !t.watch.unigram && t.unigram != nil && r.MLMLoss > r.UnigramLoss-0.05 {
		t.watch.unigram = true
		t.warn("the MLM loss, %.2f, is no better than that of guessing by how common a token is, %.2f: it takes more steps, or another -lr (now %v)", r.MLMLoss, r.UnigramLoss, t.Settings.LearningRate)
	}
	if !t.watch.oneClass && e.NSPCount >= 50 && (r.SaidNext < 0.05 || r.SaidNext > 0.95) {
		t.watch.oneClass = true
		t.warn("next sentence prediction gives one answer to nearly all pairs (IsNext to %.0f%%): it takes more steps, longer sequences, or another -lr (now %v)", 100*r.SaidNext, t.Settings.LearningRate)
	}
}

// warnOfNorm warns, once, of a gradient that is much larger than those before it.
func (t *Trainer) warnOfNorm(norm float64) {
	w := &t.watch
	if mean := w.norm; !w.grew && t.state.Step > 20 && norm > 100 && norm > 20*mean {
		w.grew = true
		t.warn("step %d: the norm of the gradient is %.0f, its mean until now %.2g: -lr %v may be too high", t.state.Step, norm, mean, t.Settings.LearningRate)
	}
	w.norm = float64(0.9*w.norm) + float64(0.1*norm)
}
