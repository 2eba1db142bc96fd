package main

import (
	"cmp"
	"slices"
)

// Step 4 of the lesson, the model asked: what it makes of one sequence, without dropout.
// Its guesses come from the two heads, its vectors from the encoder; and who wants to know
// why may look at the embeddings and at the attention.

// encodeOne takes one sequence through the encoder: (T, H). What each part has made of it
// stays in the model until the next batch.
func (m *Model) encodeOne(ids, segments []int32) []float32 {
	m.NoDropout()
	b := &Batch{}
	b.Reset()
	b.Add(ids, segments)
	return m.encode(b)
}

// A Guess is a token and how probable the model finds it.
type Guess struct {
	Token       string  `json:"token"`
	Probability float32 `json:"probability"`
}

// Guesses are the best tokens for the [MASK] at Position, best first.
type Guesses struct {
	Position int     `json:"position"`
	Best     []Guess `json:"best"`
}

// Fill returns the n best tokens for each [MASK] of a sequence.
func (m *Model) Fill(t *Tokenizer, ids, segments []int32, n int) []Guesses {
	var masked []int
	for i, id := range ids {
		if id == t.mask {
			masked = append(masked, i)
		}
	}
	all := make([]Guesses, 0, len(masked))
	if len(masked) == 0 {
		return all
	}
	logits := m.mlm.Forward(m.encodeOne(ids, segments), masked)
	order := make([]int, m.Config.VocabSize)
	for row := range slices.Chunk(logits, len(order)) {
		softmax(row, 1)
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(row[j], row[i]) })
		g := Guesses{Position: masked[len(all)]}
		for _, id := range order {
			if id < len(t.Words) && len(g.Best) < n { // a model may have room for more words
				g.Best = append(g.Best, Guess{t.Words[id], row[id]})
			}
		}
		all = append(all, g)
	}
	return all
}

// IsNext returns the probability that the second sentence follows the first.
func (m *Model) IsNext(ids, segments []int32) float32 {
	x := m.encodeOne(ids, segments)
	return softmax(m.nsp.Forward(m.pooler.Forward(x, m.batch.Starts)), 1)[0]
}

// An Embedding is what a model makes of a text as a whole.
type Embedding struct {
	Pooled []float32 `json:"pooled,omitempty"` // what the heads see, from [CLS] after the last layer
	Mean   []float32 `json:"mean"`             // of all tokens after one layer
}

// Embed returns a text's embedding. The layer is counted as in Hugging Face's
// hidden_states: 0 is the embeddings, 1 the first layer.
func (m *Model) Embed(ids, segments []int32, layer int) Embedding {
	x := m.encodeOne(ids, segments)
	e := Embedding{Mean: make([]float32, m.Config.HiddenSize)}
	if m.pooler != nil {
		e.Pooled = m.pooler.Forward(x, m.batch.Starts)
	}
	x = m.embeddings.y
	if layer > 0 {
		x = m.encoder[layer-1].output.norm.y
	}
	for at := 0; at < len(x); at += len(e.Mean) {
		kernels.add(e.Mean, x[at:at+len(e.Mean)])
	}
	kernels.scale(e.Mean, 1/float32(len(ids)))
	return e
}

// vectors are what token r of the batch becomes on its way into the encoder: its word's,
// its segment's and its position's, their sum, and that normalised; (H) each.
func (e *Embeddings) vectors(r int) [5][]float32 {
	b, h := e.batch, e.Word.Shape[1]
	return [5][]float32{
		e.Word.row(b.Tokens[r]), e.Segment.row(b.Segments[r]), e.Position.row(b.Positions[r]),
		e.sum[r*h:][:h], e.y[r*h:][:h],
	}
}

// shares is how a token of the first sequence shares its attention out among all, in one
// head, counted from 1, or on average if head is 0: (T), its row of probs, whose sum is 1.
func (a *Attention) shares(token, head int) []float32 {
	first, last := head, head
	if head == 0 {
		first, last = 1, a.heads
	}
	mean := make([]float32, a.starts[1])
	for h := first; h <= last; h++ {
		probs, _, _ := a.square(0, h-1)
		kernels.add(mean, probs.row(token))
	}
	kernels.scale(mean, 1/float32(last-first+1))
	return mean
}
