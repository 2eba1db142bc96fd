package main

import (
	"slices"
)

// Step 4 of the lesson, the model asked: what it makes of sequences, without dropout. Its
// guesses come from the two heads, its vectors from the encoder. Sequences that are asked
// about together give the same bits as one by one, only sooner.

// PredictedTokens is about how many tokens are worth asking about at a time: enough for the
// products to be large, and few enough for any memory.
const PredictedTokens = 1024

// BatchOf is a batch of one sequence.
func BatchOf(ids, segments []int32) *Batch {
	b := &Batch{}
	b.Reset()
	b.Add(ids, segments)
	return b
}

// EncodeOne takes one sequence through the encoder: (T, H). What each part has made of it
// stays in the model until the next batch.
func (m *Model) EncodeOne(ids, segments []int32) []float32 {
	m.NoDropout()
	return m.Encode(BatchOf(ids, segments))
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

// Fill returns for each sequence the n best tokens for each [MASK] in it.
func (m *Model) Fill(t *Tokenizer, b *Batch, n int) [][]Guesses {
	var masked []int
	for i, id := range b.Tokens {
		if id == t.mask {
			masked = append(masked, i)
		}
	}
	all := make([][]Guesses, len(b.Starts)-1)
	if len(masked) == 0 {
		return all
	}
	m.NoDropout()
	logits := m.mlm.Forward(m.Encode(b), masked)
	sequence := 0
	for i, at := range masked {
		for at >= b.Starts[sequence+1] {
			sequence++
		}
		row := Softmax(logits[i*m.Config.VocabSize:][:m.Config.VocabSize], 1)
		g := Guesses{Position: at - b.Starts[sequence]}
		for _, id := range descending(row) {
			if id < len(t.Vocabulary) && len(g.Best) < n { // a model may have room for more words
				g.Best = append(g.Best, Guess{t.Vocabulary[id], row[id]})
			}
		}
		all[sequence] = append(all[sequence], g)
	}
	return all
}

// IsNext returns for each sequence the probability that its second sentence follows the
// first.
func (m *Model) IsNext(b *Batch) (all []float32) {
	m.NoDropout()
	for logits := range slices.Chunk(m.nsp.Forward(m.pooler.Forward(m.Encode(b), b.Starts)), 2) {
		all = append(all, Softmax(logits, 1)[0])
	}
	return all
}

// An Embedding is what a model makes of a text as a whole.
type Embedding struct {
	Pooled []float32 `json:"pooled,omitempty"` // the pooler's vector, from [CLS] after the last layer: what the NSP head or a classifier sees
	Mean   []float32 `json:"mean"`             // of all tokens after one layer
	First  []float32 `json:"-"`                // [CLS] after that layer
}

// Embed returns the embedding of each sequence. The layer is counted as in Hugging Face's
// hidden_states: 0 is the embeddings, 1 the first layer.
func (m *Model) Embed(b *Batch, layer int) []Embedding {
	m.NoDropout()
	x, h := m.Encode(b), m.Config.HiddenSize
	all := make([]Embedding, len(b.Starts)-1)
	if m.pooler != nil {
		pooled := m.pooler.Forward(x, b.Starts)
		for i := range all {
			all[i].Pooled = slices.Clone(pooled[i*h:][:h])
		}
	}
	x = m.embeddings.y
	if layer > 0 {
		x = m.encoder[layer-1].output.norm.y
	}
	for i := range all {
		mean := make([]float32, h)
		for token := b.Starts[i]; token < b.Starts[i+1]; token++ {
			kernels.add(mean, x[token*h:][:h])
		}
		kernels.scale(mean, 1/float32(b.Starts[i+1]-b.Starts[i]))
		all[i].Mean, all[i].First = mean, slices.Clone(x[b.Starts[i]*h:][:h])
	}
	return all
}
