package main

// Step 6 of the lesson, large batches: the paper's has 256 sequences of 512 tokens,
// and what its layers keep for their backward would not fit into memory. So it can
// be worked off in parts, one after the other, whose gradients add up.
//
// Each gradient is a sum over the rows of the batch in their order. A part goes on
// with the sum from where the one before has come, so that the parts have the very bits
// of the whole. (The loss that is reported may differ in its last digit; and with -bf16,
// which sums rows in pairs, a part may end between two.) Three things need care. The loss
// is a mean over all of the batch, not over the part. Dropout has to toss the coins of the
// whole. And the gradient of the word embeddings is the sum of the MLM head's rows and
// then of the tokens', so the tokens' wait for the last part.

// Parts is the memory that a batch in parts needs.
type Parts struct {
	batch Batch
	dsum  []float32 // (N, H) of the whole batch: the gradient of the embeddings' sums
}

// GradientInParts does what Forward, Loss and Backward do, working the batch off in n
// parts.
func (m *Model) GradientInParts(b *Batch, n int, p *Parts) (totals Totals) {
	sequences := len(b.NextLabels)
	p.dsum = p.dsum[:0]
	for k := range n {
		from, part := k*sequences/n, &p.batch
		part.cut(b, from, (k+1)*sequences/n)
		m.skipCoins(b.Starts[:from+1])
		m.Forward(part)
		totals.Add(m.LossOfPart(part, len(b.Labels), sequences))
		dsum := m.embeddings.SumBackward(m.LayersBackward(m.HeadsBackward()))
		p.dsum = append(p.dsum, dsum...)
	}
	m.embeddings.AddGradients(b, p.dsum)
	return totals
}

// skipCoins makes every dropout go on with the coins that come after the sequences
// between starts: (N, H) elements of those on rows, (A, T, T) of each sequence in
// attention.
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

// cut makes b the sequences lo to hi of another batch.
func (b *Batch) cut(of *Batch, lo, hi int) {
	first, end := of.Starts[lo], of.Starts[hi]
	b.Tokens, b.Segments, b.Positions = of.Tokens[first:end], of.Segments[first:end], of.Positions[first:end]
	b.NextLabels = of.NextLabels[lo:hi]
	b.Starts, b.Targets, b.Labels = b.Starts[:0], b.Targets[:0], b.Labels[:0]
	for _, start := range of.Starts[lo : hi+1] {
		b.Starts = append(b.Starts, start-first)
	}
	for i, row := range of.Targets {
		if first <= row && row < end {
			b.Targets = append(b.Targets, row-first)
			b.Labels = append(b.Labels, of.Labels[i])
		}
	}
}
