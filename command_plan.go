package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
)

// The command pretrain, before it trains: what that will cost (-plan), and whether there is room
// for it.

// plan writes the cost of a training, and how long it would take at the speed that is
// measured now.
func (c *call) plan(t *Trainer) error {
	m, s := t.Model, &t.Settings
	cost, tries := CostOf(&m.Config, s, t.Source), costOfHeldOut(t)
	speed, update := measuredSpeed(t), measuredUpdate(t)
	seconds := (cost.Operations+tries.Operations)/speed + float64(float64(s.Steps)*update)

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
	if len(t.HeldOut) > 0 {
		line("held out", "%s examples, tried %s times: %.2g more", grouped(float64(len(t.HeldOut))), grouped(tries.Sequences/float64(len(t.HeldOut))), tries.Operations)
	}
	line("memory", "about %s MB, %s of them for the parameters, their gradients and AdamW", grouped(bytesOfF32*max(cost.Floats, tries.Floats)*(1+garbagePercent/100.0)/1e6), grouped(4*m.Config.TrainedFloats()/1e6))
	how := kernels.name
	if bf16 {
		how += ", in bfloat16"
	}
	line("time here", "about %s, at %.3g GFLOP/s on %d threads (%s), measured now", inWords(seconds), speed/1e9, workers, how)
	if workers > 1 {
		line("", "about %s on one", inWords(seconds*float64(workers)))
	}
	line("in the paper", "4 days for BERT-Base on 16 TPU chips, for BERT-Large on 64")
	return out.Flush()
}

// parametersNeed is what a model takes of the memory that is trained.
func parametersNeed(config *Config) need {
	return need{"for the parameters, their gradients and AdamW", bytesOfF32 * config.TrainedFloats(), "take a smaller model (-size, -layers, -hidden, -vocab-size)"}
}

// roomFor returns an error if there is no room for what is saved: so many times the parameters.
func roomFor(dir string, config *Config, times float64, what string) error {
	want := times * bytesOfF32 * float64(config.Parameters())
	if free := freeSpace(dir); free < want {
		return fmt.Errorf("%s has room for %s, want %s for %s: take another -out, or make room", dir, gigabytes(free), gigabytes(want), what)
	}
	return nil
}

// roomForCheckpoints is roomFor what pretrain saves.
func roomForCheckpoints(dir string, config *Config) error {
	const moments = 2
	return roomFor(dir, config, keptCheckpoints*(1+moments), "two checkpoints")
}

// mustFitTraining returns an error if a training takes more memory than there is.
func mustFitTraining(t *Trainer) error {
	config := &t.Model.Config
	parameters := parametersNeed(config)
	batch := float64(bytesOfF32*max(CostOf(config, &t.Settings, t.Source).Floats, costOfHeldOut(t).Floats)) - parameters.bytes
	return mustFit(parameters, need{"for a batch", batch, "take a larger -accumulate, or a smaller -batch or -max-seq"})
}

// mustFitTuning is mustFitTraining for finetune, which has the model that it begins with and
// its best epoch, too. No batch is larger than that of the longest cases.
func mustFitTuning(config *Config, cases []Case, batch int) error {
	longest := slices.SortedFunc(slices.Values(cases), func(a, b Case) int { return len(b.Tokens) - len(a.Tokens) })
	var b Batch
	b.Reset()
	for _, one := range longest[:min(batch, len(cases))] {
		b.Add(one.Tokens, one.Segments)
	}
	parameters := parametersNeed(config)
	parameters.bytes += float64(2 * bytesOfF32 * float64(config.Parameters()))
	parameters.less = "take a smaller model"
	return mustFit(parameters, need{"for a batch", bytesOfF32 * float64(config.BatchFloats(&b)), "take a smaller -batch or -max-seq"})
}

// costOfHeldOut is what trying the held-out examples adds: no backward, which is two thirds
// of a step.
func costOfHeldOut(t *Trainer) (cost Cost) {
	var all, first Batch
	for i, e := range t.HeldOut {
		all.AddExample(e)
		if i < evaluationBatch {
			first.AddExample(e)
		}
	}
	times := math.Ceil(float64(t.Settings.Steps) / float64(t.Settings.LogEvery))
	if len(t.HeldOut) > 0 {
		config := &t.Model.Config
		cost.Sequences, cost.Operations = times*float64(len(t.HeldOut)), times*float64(config.Operations(&all))/3
		cost.Floats = config.TrainedFloats() + float64(config.BatchFloats(&first))
	}
	return cost
}

// measuredUpdate is how many seconds AdamW takes for a step.
func measuredUpdate(t *Trainer) float64 {
	optimizer := NewAdamW(&t.Model.Parameters, &t.Settings)
	update := func() { optimizer.Step(0, optimizer.Norm()) }
	update() // so that all memory is there
	begin := time.Now()
	update()
	return time.Since(begin).Seconds()
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
		if n := seconds / unit.in; n >= 10 {
			return grouped(n) + " " + unit.name
		} else if n >= 2 {
			return fmt.Sprintf("%.1f %s", n, unit.name)
		}
	}
	return fmt.Sprintf("%.0f seconds", seconds)
}
