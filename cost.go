package main

// Step 6 of the lesson, what a training costs, known before its first step: tokens,
// operations and memory follow from the sizes of the model and of the batches. With
// the paper's settings (settings.go) BERT-Base takes more than 10¹⁹ operations. That was
// four days on 16 TPU chips; pretrain -plan says what it would be here.

// A Cost is what a training needs.
type Cost struct {
	Sequences, Tokens float64 // that it goes through
	Operations        float64 // multiplications and additions of its products
	Floats            float64 // of memory, for the parameters and the largest part of a batch
}

// A batchShape is all of a batch that its cost depends on.
type batchShape struct{ tokens, squares, masked, sequences int64 } // N, Σ T², M, S

// shapeOf is the shape of a batch.
func shapeOf(b *Batch) (s batchShape) {
	for i, start := range b.Starts[1:] {
		length := int64(start - b.Starts[i])
		s.squares += length * length
	}
	s.tokens, s.masked, s.sequences = int64(len(b.Tokens)), int64(len(b.Targets)), int64(len(b.NextLabels))
	return s
}

// Operations is how many multiplications and additions a step on a batch takes. Each
// product of the forward has two more in the backward, for the gradients of its two
// factors, and each of its terms is a multiplication and an addition.
func (c *Config) Operations(b *Batch) int64 {
	h, i, v, s := int64(c.HiddenSize), int64(c.IntermediateSize), int64(c.VocabSize), shapeOf(b)
	linear := s.tokens * (4*h*h + 2*h*i) // query, key, value and output; to I and back
	attention := 2 * s.squares * h       // scores and context
	heads := s.masked*(h*h+h*v) + s.sequences*(h*h+2*h)
	return 3 * 2 * (int64(c.NumHiddenLayers)*(linear+attention) + heads)
}

// TrainedFloats is how many floats the parameters are in training: each has a gradient and, in
// AdamW, two moments.
func (c *Config) TrainedFloats() float64 { return float64(4 * c.Parameters()) }

// BatchFloats is how many floats the layers keep of a batch: their fields.
func (c *Config) BatchFloats(b *Batch) int64 {
	h, i, v, s := int64(c.HiddenSize), int64(c.IntermediateSize), int64(c.VocabSize), shapeOf(b)
	probs := int64(c.NumAttentionHeads) * s.squares
	layer := s.tokens*(8*h+i) + probs     // what each layer keeps for its backward
	shared := s.tokens*(16*h+2*i) + probs // what one needs at a time, and the embeddings
	return int64(c.NumHiddenLayers)*layer + shared + s.masked*(8*h+v)
}

// CostOf is what a training costs. Of a corpus, some examples of its first step and of its
// first long one stand for all.
func CostOf(c *Config, s *Settings, source Source) (cost Cost) {
	for _, phase := range []struct{ first, steps int }{{0, s.ShortSteps()}, {s.ShortSteps(), s.Steps - s.ShortSteps()}} {
		if phase.steps == 0 {
			continue
		}
		var b Batch
		n := min(s.Batch, 64)
		if list, ok := source.(ListSource); ok {
			n = len(list)
		}
		source.Fill(&b, n, phase.first)
		perStep := float64(s.Batch) / float64(len(b.NextLabels)) // samples such as b
		samples := float64(phase.steps) * perStep
		cost.Sequences += float64(samples * float64(len(b.NextLabels)))
		cost.Tokens += float64(samples * float64(len(b.Tokens)))
		cost.Operations += float64(samples * float64(c.Operations(&b)))
		part := float64(perStep / float64(s.Accumulate) * float64(c.BatchFloats(&b)))
		if s.Accumulate > 1 {
			part += float64(perStep * float64(len(b.Tokens)*c.HiddenSize)) // parts.dsum
		}
		cost.Floats = max(cost.Floats, c.TrainedFloats()+part)
	}
	return cost
}
