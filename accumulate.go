package main

// Step 6 of the lesson, large batches: the paper's has 256 sequences of 512 tokens,
// and what its layers keep for their backward would not fit into memory. So it can
// be worked off in parts, one after the other, whose gradients add up.
//
// Each gradient is a sum over the rows of the batch in their order. A part goes on
// with the sum from where the one before has come, so that the parts have the very bits
// of the whole. (The loss that is reported may differ in its last digit.) Three things
// need care. The loss is a mean over all of the batch, not over the part. Dropout has
// to toss the coins of the whole. And the word embeddings have two sums, the MLM head's
// and that of the embeddings, of which the second comes after the first is complete; so
// it waits for the last part.

// parts is what a batch in parts needs.
type parts struct {
	batch Batch
	dsum  []float32 // (N, H) of the whole batch: the gradient of the embeddings' sums
}

// gradient is the batch's score and the gradient of its loss, in Accumulate parts.
func (t *Trainer) gradient() (score Score) {
	m, s := t.Model, &t.Settings
	clear(m.Grad)
	m.SetDropout(s.Seed, t.state.Step)
	n, sequences := s.Accumulate, len(t.batch.NextLabels)
	if n <= 1 {
		m.Forward(&t.batch)
		score = m.Loss(&t.batch)
		m.Backward()
		return score
	}
	e := m.embeddings
	add := e.addGrads
	e.addGrads = func(lo, hi int) {}
	t.parts.dsum = t.parts.dsum[:0]
	for k := range n {
		part, from := &t.parts.batch, k*sequences/n
		part.cut(&t.batch, from, (k+1)*sequences/n)
		m.skipCoins(t.batch.Starts[:from+1])
		m.Forward(part)
		score.Add(m.partLoss(part, len(t.batch.Labels), sequences))
		m.Backward()
		t.parts.dsum = append(t.parts.dsum, e.dsum...)
	}
	e.batch, e.dsum, e.addGrads = &t.batch, t.parts.dsum, add
	parallelColumns(m.Config.HiddenSize, add)
	return score
}

// skipCoins makes every dropout go on with the coins that come after the sequences
// between starts: (N, H) elements of those on rows, (A, T, T) of each sequence in attention.
func (m *Model) skipCoins(starts []int) {
	tokens, squares := starts[len(starts)-1], 0
	for s, start := range starts[1:] {
		length := start - starts[s]
		squares += length * length
	}
	for _, d := range m.dropouts {
		d.before = uint32(tokens * m.Config.HiddenSize)
	}
	for _, l := range m.encoder {
		l.attention.dropout.before = uint32(squares * l.attention.heads)
	}
}

// partLoss is Loss for a part of a batch that has so many masked tokens and
// sequences.
func (m *Model) partLoss(b *Batch, masked, sequences int) Score {
	score := Score{MLMCount: len(b.Labels), NSPCount: len(b.NextLabels)}
	score.MLMLoss, score.MLMCorrect = m.mlmLoss.ForwardBackward(m.mlmLogits, b.Labels, 1/float32(masked))
	score.NSPLoss, score.NSPCorrect = m.nspLoss.ForwardBackward(m.nspLogits, b.NextLabels, 1/float32(sequences))
	return score
}

// cut makes b the sequences lo to hi of another batch.
func (b *Batch) cut(of *Batch, lo, hi int) {
	first, end := of.Starts[lo], of.Starts[hi]
	b.Tokens, b.Segments, b.Positions = of.Tokens[first:end], of.Segments[first:end], of.Positions[first:end]
	b.NextLabels = of.NextLabels[lo:hi]
	b.Starts, b.Masked, b.Labels = b.Starts[:0], b.Masked[:0], b.Labels[:0]
	for _, start := range of.Starts[lo : hi+1] {
		b.Starts = append(b.Starts, start-first)
	}
	for i, row := range of.Masked {
		if first <= row && row < end {
			b.Masked = append(b.Masked, row-first)
			b.Labels = append(b.Labels, of.Labels[i])
		}
	}
}
