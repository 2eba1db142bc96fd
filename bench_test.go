package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// How fast it is: go test -run none -bench . (the README has a table).

// The products of a BERT step: m rows, n outputs, k inputs.
var benchmarkShapes = [][3]int{
	{4096, 128, 128}, {4096, 512, 128}, {4096, 128, 512}, {2048, 1024, 256}, {1024, 2048, 512},
	{1024, 768, 768}, {1024, 3072, 768}, {1024, 768, 3072}, {640, 30522, 128},
}

// Products, in GFLOP/s: nt is x·Wᵀ (forward), nn is dy·W (gradient of the input),
// tn is dyᵀ·x (gradient of the weight).
func BenchmarkMatmul(b *testing.B) { benchmarkMatmul(b) }

// The same in bfloat16.
func BenchmarkMatmulBF16(b *testing.B) {
	defer inBF16(true)()
	benchmarkMatmul(b)
}

func benchmarkMatmul(b *testing.B) {
	run := func(kind string, m, n, k int) {
		b.Run(fmt.Sprintf("%s/%dx%dx%d", kind, m, n, k), func(b *testing.B) {
			c := rowMajor(randomFloats(m*n, 1), m, n)
			x, w := rowMajor(randomFloats(m*k, 2), m, k), rowMajor(randomFloats(k*n, 3), k, n)
			if kind == "nt" {
				w = rowMajor(w.data, n, k).T()
			} else if kind == "tn" {
				x = rowMajor(x.data, k, m).T()
			}
			b.ResetTimer()
			for range b.N { // b.Loop would not see what -cpu 1,2 sets
				matmul(c, x, w, matrix{})
			}
			b.ReportMetric(2*float64(m)*float64(n)*float64(k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
	for _, s := range benchmarkShapes {
		m, n, k := s[0], s[1], s[2]
		run("nt", m, n, k)
		run("nn", m, k, n)
		run("tn", n, k, m)
	}
	run("nt", 128, 128, 64)
	run("nn", 1024, 1024, 1024)
}

func randomFloats(n int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	x := make([]float32, n)
	for i := range x {
		x[i] = r.Float32() - 0.5
	}
	return x
}

// Whole training steps with dropout, clipping and AdamW, on sequences of 128
// tokens of which 20 are masked, with a vocabulary of 30,522.
func BenchmarkStep(b *testing.B) { benchmarkSteps(b) }

// The same in bfloat16.
func BenchmarkStepBF16(b *testing.B) {
	defer inBF16(true)()
	benchmarkSteps(b)
}

func benchmarkSteps(b *testing.B) {
	for _, s := range []struct {
		size  string
		batch int
	}{{"tiny", 32}, {"mini", 16}, {"small", 8}, {"base", 8}} {
		b.Run(s.size, func(b *testing.B) { benchmarkStep(b, s.size, s.batch, func(int) int { return 128 }) })
	}
}

// The same with lengths spread evenly from 16 to 128.
func BenchmarkStepRagged(b *testing.B) {
	b.Run("mini", func(b *testing.B) {
		const batch = 28
		benchmarkStep(b, "mini", batch, func(i int) int { return 16 + 112*i/(batch-1) })
	})
}

// The demo's step, of 10 short sequences: its products are small, so that what counts is how
// the workers are called together 90 times in four milliseconds.
func BenchmarkDemoStep(b *testing.B) {
	s, err := newStory(io.Discard)
	check(b, err)
	t := s.trainer
	t.optimizer = NewAdamW(&t.Model.Parameters, &t.Settings)
	t.state.Step = t.Settings.ShortSteps()
	step := func() {
		_, _, err := t.Step(1e-4)
		check(b, err)
	}
	step()
	before := t.state.Tokens
	b.ResetTimer()
	for range b.N {
		step()
	}
	b.ReportMetric(float64(t.state.Tokens-before)/b.Elapsed().Seconds(), "tokens/s")
}

func benchmarkStep(b *testing.B, size string, batch int, length func(i int) int) {
	c := DefaultConfig()
	c.VocabSize = 30522
	c.SetSize(sizes[size])
	m, err := NewModel(c, 1)
	check(b, err)

	settings := DefaultSettings()
	settings.Batch = batch
	r := rand.New(rand.NewPCG(1, 0))
	var examples ListSource
	for i := range batch {
		e := Example{Tokens: make([]int32, length(i)), Segments: make([]int32, length(i)), NextLabel: int32(i % 2)}
		for k := range e.Tokens {
			e.Tokens[k] = int32(r.IntN(c.VocabSize))
			if k*20/len(e.Tokens) != (k+1)*20/len(e.Tokens) && len(e.Targets) < len(e.Tokens)*20/128 {
				e.Targets, e.Labels = append(e.Targets, int32(k)), append(e.Labels, e.Tokens[k])
			}
		}
		examples = append(examples, e)
	}
	trainer := &Trainer{Model: m, Settings: settings, Source: examples}
	trainer.optimizer = NewAdamW(&m.Parameters, &settings)
	_, _, err = trainer.Step(1e-4) // so that all memory is there
	check(b, err)
	for b.Loop() {
		_, _, err := trainer.Step(1e-4)
		check(b, err)
	}
	flops := float64(c.Operations(&trainer.batch))
	steps := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(float64(len(trainer.batch.Tokens))*steps, "tok/s")
	b.ReportMetric(flops*steps/1e9, "GFLOP/s")
}

// Each kernel of each instruction set, on rows that sit in the first-level cache,
// in GB/s of the slices that it reads and writes; the tile in GFLOP/s.
func BenchmarkKernel(b *testing.B) {
	// How many of the slices of a case a kernel goes through.
	traffic := map[string]int{
		"add": 3, "mulAdd": 4, "scale": 2, "sum": 1, "dot": 2, "squares": 1, "maximum": 1, "expSum": 2,
		"softmaxBackward": 3, "gelu": 2, "geluBackward": 3, "gated": 2, "gatedBackward": 3, "normalize": 5, "normalizeSums": 3,
		"normalizeBackward": 4, "dropout": 2, "adamw": 7,
	}
	const n = 768
	for _, kc := range kernelCases {
		count, ok := traffic[kc.name]
		if !ok { // transpose and pack are parts of the products
			continue
		}
		for k := range kernelTables {
			b.Run(kc.name+"/"+kernelTables[k].name, func(b *testing.B) {
				s := make([][]float32, 5)
				for i := range s {
					s[i] = randomFloats(n, uint64(i))
				}
				for b.Loop() {
					kc.call(&kernelTables[k], s, 0.5, 1, 1)
				}
				b.ReportMetric(float64(count*n*4)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
			})
		}
	}
	for k := range kernelTables {
		b.Run("tile/"+kernelTables[k].name, func(b *testing.B) {
			const depth = 256
			rows, cols := kernelTables[k].tileRows, kernelTables[k].tileCols
			t := &tile{
				cols: cols, depth: depth, c: make([]float32, rows*cols), cRow: cols, start: zeros[:],
				a: randomFloats(rows*depth, 1), aRow: depth, aStep: 1, b: randomFloats(depth*cols, 2), bRow: cols,
			}
			t.setRows(rows)
			for b.Loop() {
				kernelTables[k].tile(t)
			}
			b.ReportMetric(2*float64(rows*cols*depth)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
		b.Run("tileBF16/"+kernelTables[k].name, func(b *testing.B) {
			const terms = 512
			rows, cols, depth := kernelTables[k].tileRows, kernelTables[k].tileCols, terms/2*kernelTables[k].pairFloats
			t := &tile{
				cols: cols, depth: depth, c: make([]float32, rows*cols), cRow: cols, start: zeros[:],
				a: make([]float32, rows*depth), aRow: depth, aStep: 1, b: make([]float32, depth*cols), bRow: cols,
			}
			kernelTables[k].pairRows(t.a, 0, randomFloats(rows*depth, 1), 0, 1, rows*depth)
			kernelTables[k].pairRows(t.b, 0, randomFloats(depth*cols, 2), 0, 1, depth*cols)
			t.setRows(rows)
			for b.Loop() {
				kernelTables[k].tileBF16(t)
			}
			b.ReportMetric(2*float64(rows*cols*terms)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
