package main

import (
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"
)

// pretrain -plan: what a training will cost, said before its first step.

// plan writes the cost of a training, and how long it would take at the speed that is
// measured now.
func (c *call) plan(t *Trainer) error {
	m, s := t.Model, &t.Settings
	cost := CostOf(&m.Config, s, t.Source)
	speed := measuredSpeed(t)
	seconds := cost.Operations / speed

	out := tabwriter.NewWriter(c.stdout, 0, 0, 3, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	line("model", "%d layers of %d: %s parameters", m.Config.NumHiddenLayers, m.Config.HiddenSize, grouped(float64(m.Config.Parameters())))
	epochs := 0.0
	switch source := t.Source.(type) {
	case *CorpusSource:
		tokens := float64(source.Corpus.low.Len())
		line("text", "%s tokens", grouped(tokens))
		epochs = cost.Tokens / tokens
	case ListSource:
		line("text", "%s examples", grouped(float64(len(source))))
		epochs = cost.Sequences / float64(len(source))
	}
	line("training", "%s steps of %d sequences", grouped(float64(s.Steps)), s.Batch)
	line("tokens", "%s, so %.3g times through the text", grouped(cost.Tokens), epochs)
	line("operations", "%.2g multiplications and additions", cost.Operations)
	const floatsOfParameter = 4 // itself, its gradient, AdamW's two moments
	line("memory", "%.1f GB, %.1f of them for the parameters, their gradients and AdamW", 4*cost.Floats/1e9, 4*floatsOfParameter*float64(m.Config.Parameters())/1e9)
	line("time here", "%s, at %.3g GFLOP/s on %d threads (%s), measured now", inWords(seconds), speed/1e9, workers, kernels.name)
	if workers > 1 {
		line("", "about %s on one", inWords(seconds*float64(workers)))
	}
	line("in the paper", "4 days for BERT-Base on 16 TPU chips, for BERT-Large on 64")
	return out.Flush()
}

// measuredSpeed is how many operations a second a step of this training does, but for
// making its examples.
func measuredSpeed(t *Trainer) float64 {
	const enough = 2e10 // operations for the caches and the workers to get going
	m, most := t.Model, max(t.Settings.Batch/t.Settings.Accumulate, 1)
	var b Batch
	for n := 1; n == 1 || n <= most && m.Config.Operations(&b) < enough; n *= 2 {
		t.Source.Fill(&b, n, 0)
	}
	m.SetDropout(t.Settings.Seed, 0)
	step := func() {
		m.Forward(&b)
		m.Loss(&b)
		m.Backward()
	}
	step() // so that all memory is there
	begin, steps := time.Now(), 0
	for ; steps == 0 || time.Since(begin) < time.Second; steps++ {
		step()
	}
	return float64(steps) * float64(m.Config.Operations(&b)) / time.Since(begin).Seconds()
}

// grouped is a whole number with commas between its thousands.
func grouped(x float64) string {
	digits := strconv.FormatFloat(x, 'f', 0, 64)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// inWords is a time in the unit that suits it.
func inWords(seconds float64) string {
	for _, unit := range []struct {
		name string
		in   float64
	}{{"years", 365.25 * 86400}, {"days", 86400}, {"hours", 3600}, {"minutes", 60}} {
		if n := seconds / unit.in; n >= 2 {
			return fmt.Sprintf("%.3g %s", n, unit.name)
		}
	}
	return fmt.Sprintf("%.2g seconds", seconds)
}
