package main

import (
	"slices"
)

// Step 4 of the lesson, the model asked: what it makes of one sequence, without dropout.
// Its guesses come from the two heads, its vectors from the encoder.

// EncodeOne takes one sequence through the encoder: (T, H). What each part has made of it
// stays in the model until the next batch.
func (m *Model) EncodeOne(ids, segments []int32) []float32 {
	m.NoDropout()
	b := &Batch{}
	b.Reset()
	b.Add(ids, segments)
	return m.Encode(b)
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
	logits := m.mlm.Forward(m.EncodeOne(ids, segments), masked)
	for row := range slices.Chunk(logits, m.Config.VocabSize) {
		Softmax(row, 1)
		g := Guesses{Position: masked[len(all)]}
		for _, id := range descending(row) {
			if id < len(t.Vocabulary) && len(g.Best) < n { // a model may have room for more words
				g.Best = append(g.Best, Guess{t.Vocabulary[id], row[id]})
			}
		}
		all = append(all, g)
	}
	return all
}

// IsNext returns the probability that the second sentence follows the first.
func (m *Model) IsNext(ids, segments []int32) float32 {
	x := m.EncodeOne(ids, segments)
	return Softmax(m.nsp.Forward(m.pooler.Forward(x, m.batch.Starts)), 1)[0]
}

// An Embedding is what a model makes of a text as a whole.
type Embedding struct {
	Pooled []float32 `json:"pooled,omitempty"` // the pooler's vector, from [CLS] after the last layer: what the NSP head or a classifier sees
	Mean   []float32 `json:"mean"`             // of all tokens after one layer
}

// Embed returns a text's embedding. The layer is counted as in Hugging Face's
// hidden_states: 0 is the embeddings, 1 the first layer.
func (m *Model) Embed(ids, segments []int32, layer int) Embedding {
	x := m.EncodeOne(ids, segments)
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
