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
type batchShape struct{ tokens, squares, masked, sequences float64 } // N, Σ T², M, S

// shapeOf is the shape of a batch.
func shapeOf(b *Batch) (s batchShape) {
	for i, start := range b.Starts[1:] {
		length := float64(start - b.Starts[i])
		s.squares += length * length
	}
	s.tokens, s.masked, s.sequences = float64(len(b.Tokens)), float64(len(b.Masked)), float64(len(b.NextLabels))
	return s
}

// scaled is the shape of a batch that is so many times as large.
func (s batchShape) scaled(by float64) batchShape {
	return batchShape{by * s.tokens, by * s.squares, by * s.masked, by * s.sequences}
}

// Operations is how many multiplications and additions a step on a batch takes.
func (c *Config) Operations(b *Batch) float64 { return c.operations(shapeOf(b)) }

// Each product of the forward has two more in the backward, for the gradients of its two
// factors, and each of its terms is a multiplication and an addition.
func (c *Config) operations(b batchShape) float64 {
	h, i, v, layers := float64(c.HiddenSize), float64(c.IntermediateSize), float64(c.VocabSize), float64(c.NumHiddenLayers)
	linear := b.tokens * (4*h*h + 2*h*i) // query, key, value and output; to I and back
	attention := 2 * b.squares * h       // scores and context
	heads := b.masked*(h*h+h*v) + b.sequences*(h*h+2*h)
	return 3 * 2 * (layers*(linear+attention) + heads)
}

// floats is how many floats a step on a batch needs: four for each parameter (its value,
// its gradient, AdamW's two moments), and the fields of the layers.
func (c *Config) floats(b batchShape) float64 {
	h, i, layers := float64(c.HiddenSize), float64(c.IntermediateSize), float64(c.NumHiddenLayers)
	probs := float64(c.NumAttentionHeads) * b.squares
	layer := b.tokens*(8*h+i) + probs     // what each layer keeps for its backward
	shared := b.tokens*(16*h+2*i) + probs // what one needs at a time, and the embeddings
	heads := b.masked * (8*h + float64(c.VocabSize))
	return 4*float64(c.Parameters()) + layers*layer + shared + heads
}

// CostOf is what a training costs. The examples of its first step and of its first long
// one stand for all.
func CostOf(c *Config, s *Settings, source Source) (cost Cost) {
	short := s.ShortSteps()
	for _, phase := range []struct{ first, steps int }{{0, short}, {short, s.Steps - short}} {
		if phase.steps == 0 {
			continue
		}
		var b Batch
		source.Fill(&b, min(s.Batch, 64), phase.first)
		sample := shapeOf(&b)
		batch := sample.scaled(float64(s.Batch) / sample.sequences)
		steps := float64(phase.steps)
		cost.Sequences += steps * batch.sequences
		cost.Tokens += steps * batch.tokens
		cost.Operations += steps * c.operations(batch)
		part := c.floats(batch.scaled(1 / float64(s.Accumulate)))
		if s.Accumulate > 1 {
			part += batch.tokens * float64(c.HiddenSize) // parts.dsum
		}
		cost.Floats = max(cost.Floats, part)
	}
	return cost
}
