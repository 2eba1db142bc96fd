package main

import (
	"math"
	"slices"
	"testing"
)

// What a model is asked is what its heads say: the best tokens are those with the greatest
// logits, with their softmax; the next sentence is the softmax of two; and the mean of a
// layer's rows is that.
func TestPredictions(t *testing.T) {
	m := smallModel(t)
	_, tokenizer, _, err := LoadModel(savedDir(t))
	check(t, err)
	ids, segments := tokenizer.Pair([]int32{7, 4, 9}, []int32{4, 12}) // 4 is [MASK]
	b := &Batch{}
	b.Reset()
	b.AddExample(Example{Tokens: ids, Segments: segments, Targets: []int32{2, 5}, Labels: []int32{0, 0}})
	mlm, nsp := m.Forward(b)
	mlm, nsp = slices.Clone(mlm), slices.Clone(nsp)
	v := m.Config.VocabSize

	all := m.Fill(tokenizer, BatchOf(ids, segments), 3)[0]
	equal(t, len(all), 2)
	for k, g := range all {
		equal(t, g.Position, []int{2, 5}[k])
		row, powers := mlm[k*v:][:v], 0.0
		for _, x := range row {
			powers += math.Exp(float64(x))
		}
		for rank, guess := range g.Best {
			id := slices.Index(tokenizer.Vocabulary, guess.Token)
			greater := 0
			for _, x := range row {
				if x > row[id] {
					greater++
				}
			}
			if p := math.Exp(float64(row[id])) / powers; greater != rank || math.Abs(float64(guess.Probability)-p) > 1e-6 {
				t.Errorf("[MASK] %d: guess %d is %+v; %d logits are greater, and its softmax is %.6f", g.Position, rank, guess, greater, p)
			}
		}
	}
	if got, want := float64(m.IsNext(BatchOf(ids, segments))[0]), 1/(1+math.Exp(float64(nsp[1]-nsp[0]))); math.Abs(got-want) > 1e-6 {
		t.Errorf("B follows A with probability %v, want the softmax %v", got, want)
	}
	e := m.Embed(BatchOf(ids, segments), 1)[0]
	m.EncodeOne(ids, segments)
	for i, got := range e.Mean {
		want := 0.0
		for r := range ids {
			want += float64(m.encoder[0].output.norm.y[r*m.Config.HiddenSize+i]) / float64(len(ids))
		}
		if math.Abs(float64(got)-want) > 1e-6 {
			t.Errorf("number %d of the mean of layer 1 is %v, want %v", i, got, want)
		}
	}
}
