package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// asClassifier and asAnswerer are the configuration of a task.
func asClassifier(c Config, labels ...string) Config {
	c.SetTask(oneLabel, labels)
	return c
}

func asAnswerer(c Config) Config {
	c.Architectures = []string{answering}
	return c
}

// asTask is the configuration of a task with labels.
func asTask(c Config, task string, labels ...string) Config {
	c.SetTask(task, labels)
	return c
}

// headTasks are the configurations of all tasks, by their names in heads.json.
func headTasks(c Config) map[string]Config {
	return map[string]Config{
		"classify": asTask(c, oneLabel, "a", "b", "c"),
		"regress":  asTask(c, aNumber, "LABEL_0"),
		"several":  asTask(c, severalLabels, "a", "b", "c"),
		"tag":      asTask(c, tagging, "a", "b", "c"),
		"answer":   asTask(c, answering),
	}
}

// The logits, losses and gradients of all heads, and of the encoder below them, are
// PyTorch's.
func TestHeadsMatchPyTorch(t *testing.T) {
	g, pretrained, examples := loadGolden(t)
	var meta map[string]struct {
		Targets [][]int
		Labels  [][]int32
		Values  [][]float32
		Loss    float64
	}
	data, err := os.ReadFile("testdata/heads.json")
	check(t, err)
	check(t, json.Unmarshal(data, &meta))
	heads := &golden{}
	heads.file, err = os.Open("testdata/heads.safetensors")
	check(t, err)
	defer heads.file.Close()
	info, err := heads.file.Stat()
	check(t, err)
	heads.tensors, err = readSafetensorsHeader(heads.file, info.Size())
	check(t, err)
	equal(t, len(meta), len(headTasks(g.Config)))

	for name, config := range headTasks(g.Config) {
		want := meta[name]
		m, err := Transfer(pretrained, config, 1, true)
		check(t, err)
		equal(t, config.Parameters(), int64(len(m.Value)))
		for _, p := range m.List {
			if source := p.Name; !strings.HasPrefix(source, "bert.") {
				if name == "regress" {
					source = strings.Replace(source, "classifier", "regression", 1)
				}
				copy(p.Value, heads.tensor(t, "weights/"+source, len(p.Value)))
			}
		}
		b := &Batch{}
		b.Reset()
		for i, start := range examples.Starts[1:] {
			first := examples.Starts[i]
			c := Case{Tokens: examples.Tokens[first:start], Segments: examples.Segments[first:start]}
			if want.Targets != nil {
				c.Targets = want.Targets[i]
			}
			if want.Labels != nil {
				c.Labels = want.Labels[i]
			}
			if want.Values != nil {
				c.Values = want.Values[i]
			}
			b.AddCase(&c)
		}
		logits := m.head.Forward(m.Encode(b), b)
		heads.near(t, name+"/logits", logits)
		loss := m.head.Loss(logits, b)
		if mean := loss.Sum / float64(loss.Count); math.Abs(mean-want.Loss) > 1e-5 {
			t.Errorf("%s: the loss is %.6f, PyTorch's %.6f", name, mean, want.Loss)
		}
		dx := m.ZeroGradient()
		m.head.Backward(logits, dx)
		m.EncodeBackward(dx)
		for _, p := range m.List {
			// What adds the same to all that a softmax compares has no gradient but
			// for rounding.
			if strings.HasSuffix(p.Name, "self.key.bias") || name == "answer" && (p.Name == "qa_outputs.bias" || p.Name == "bert.encoder.layer.1.output.LayerNorm.bias") {
				for _, g := range p.Grad {
					if math.Abs(float64(g)) > 1e-6 {
						t.Errorf("%s: %s has a gradient of %v", name, p.Name, g)
					}
				}
				continue
			}
			source := p.Name
			if name == "regress" {
				source = strings.Replace(source, "classifier", "regression", 1)
			}
			heads.near(t, name+"/grads/"+source, p.Grad)
		}
	}
}

// The backward of each head is the derivative of its forward, and the gradient of
// a whole fine-tuned model that of its loss, with dropout.
func TestHeadBackwardsAreDerivatives(t *testing.T) {
	small := smallModel(t).Config
	small.HiddenDropout, small.AttentionDropout = 0.1, 0.2
	for name, config := range headTasks(small) {
		cases := []Case{
			{Tokens: []int32{2, 7, 4, 9, 3, 8, 3}, Segments: []int32{0, 0, 0, 0, 0, 1, 1}},
			{Tokens: []int32{2, 4, 3, 9, 10, 3}, Segments: []int32{0, 0, 0, 1, 1, 1}},
		}
		switch name {
		case "classify":
			cases[0].Labels, cases[1].Labels = []int32{2}, []int32{0}
		case "regress":
			cases[0].Values, cases[1].Values = []float32{1.5}, []float32{-0.25}
		case "several":
			cases[0].Values, cases[1].Values = []float32{1, 0, 1}, []float32{0, 0, 0}
		case "tag":
			cases[0].Targets, cases[0].Labels = []int{1, 3}, []int32{2, 0}
			cases[1].Targets, cases[1].Labels = []int{4}, []int32{1}
		case "answer":
			cases[0].Labels, cases[1].Labels = []int32{5, 5}, []int32{0, 4}
		}
		m, err := NewModel(config, 1)
		check(t, err)
		b := &Batch{}
		b.Reset()
		for i := range cases {
			b.AddCase(&cases[i])
		}
		m.SetDropout(3, 4)

		r := rand.New(rand.NewPCG(6, 6))
		x := make([]float32, len(b.Tokens)*config.HiddenSize)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		differences(t, name, m.headParameters().List, [][]float32{x}, func() []float32 { return m.head.Forward(x, b) },
			func(dy []float32) [][]float32 {
				dx := make([]float32, len(x))
				m.head.Backward(dy, dx)
				return [][]float32{dx}
			})

		loss := func() float64 {
			l := m.head.Loss(m.head.Forward(m.Encode(b), b), b)
			return l.Sum / float64(l.Count)
		}
		logits := m.head.Forward(m.Encode(b), b)
		m.head.Loss(logits, b)
		clear(m.Grad)
		dx := m.ZeroGradient()
		m.head.Backward(logits, dx)
		m.EncodeBackward(dx)
		head := m.headParameters().List
		for _, p := range m.List { // of the encoder, whose backward is not new, the vectors
			if len(p.Shape) == 1 || slices.Contains(head, p) {
				compareDifferences(t, name+": "+p.Name, p.Value, slices.Clone(p.Grad), loss)
			}
		}
	}
}

// Transfer takes the encoder over and begins with a new head, drawn by the seed;
// the pooler is taken over if that is wanted, and the head of a model that was
// fine-tuned for the same labels.
func TestTransferTakesTheEncoderOver(t *testing.T) {
	pretrained := smallModel(t)
	c := asClassifier(pretrained.Config, "a", "b")
	named := func(m *Model, name string) []float32 {
		for _, p := range m.List {
			if p.Name == name {
				return p.Value
			}
		}
		t.Fatalf("there is no %s", name)
		return nil
	}
	const query, pooler, head = "bert.encoder.layer.1.attention.self.query.weight", "bert.pooler.dense.weight", "classifier.weight"
	one, err := Transfer(pretrained, c, 5, true)
	check(t, err)
	two, err := Transfer(pretrained, c, 6, false)
	check(t, err)
	equal(t, named(one, query), named(pretrained, query))
	equal(t, named(one, pooler), named(pretrained, pooler))
	equal(t, named(two, query), named(pretrained, query))
	if slices.Equal(named(two, pooler), named(pretrained, pooler)) || slices.Equal(named(one, head), named(two, head)) {
		t.Error("two has the pooler of before, or the head of one")
	}
	further, err := Transfer(one, c, 7, false)
	check(t, err)
	equal(t, further.Value, one.Value)
	other, err := Transfer(one, asClassifier(pretrained.Config, "c", "d"), 7, true)
	check(t, err)
	if slices.Equal(named(other, head), named(one, head)) {
		t.Error("the head for a and b is taken over for c and d")
	}
	answerer, err := Transfer(one, asAnswerer(c), 7, true)
	check(t, err)
	equal(t, named(answerer, query), named(one, query))
}

// smallCases are sequences whose label is the parity of their second token.
func smallCases() (cases []Case) {
	for i := range int32(24) {
		cases = append(cases, Case{Tokens: []int32{2, 5 + i, 6, 3}, Segments: make([]int32, 4), Labels: []int32{i % 2}})
	}
	return cases
}

// A frozen encoder keeps each bit; the head learns.
func TestFreezeTrainsTheHeadAlone(t *testing.T) {
	m, err := NewModel(asClassifier(smallModel(t).Config, "even", "odd"), 1)
	check(t, err)
	before := slices.Clone(m.Value)
	tuner := &Tuner{Model: m, Cases: smallCases()[:8], Settings: TuneSettings(), Epochs: 100, Freeze: true}
	tuner.Settings.LearningRate = 1e-2
	check(t, tuner.Train(t.Context()))
	encoder := len(m.Value) - len(m.headParameters().Value)
	equal(t, m.Value[:encoder], before[:encoder])
	if slices.Equal(m.Value[encoder:], before[encoder:]) {
		t.Error("the head has not changed")
	}
	if accuracy, _ := m.ScoreOf(tuner.Cases).Main(); accuracy != 1 {
		t.Errorf("the head has learnt %v", accuracy)
	}
}

// Whether a head is kept is said: it is for the same task and the same labels in the same order.
func TestHeadIsKept(t *testing.T) {
	dir := t.TempDir()
	tune := func(from, to, task, labels string, more ...string) string {
		t.Helper()
		file := filepath.Join(dir, "train.tsv")
		check(t, os.WriteFile(file, []byte(strings.Repeat(strings.ReplaceAll(labels, " ", "\tword7 word8.\n"), 2)), 0o666))
		args := []string{"finetune", "-model", from, "-task", task, "-train", file, "-epochs", "1", "-out", filepath.Join(dir, to)}
		status, _, stderr := runHere("", append(args, more...)...)
		equal(t, status, exitDone, stderr)
		return stderr
	}
	model, first := savedDir(t), filepath.Join(dir, "first")
	equal(t, strings.Contains(tune(model, "first", "classify", "good bad "), "head"), false)
	kept, others := "the head of "+first+" is kept\n", fmt.Sprintf("the head is new: the labels of %s are others, or in another order: %q %q\n", first, "bad", "good")
	equal(t, strings.Contains(tune(first, "same", "classify", "bad good bad "), kept), true)
	equal(t, strings.Contains(tune(first, "more", "classify", "bad good more "), others), true)
	equal(t, strings.Contains(tune(first, "number", "regress", "1 2 "), "the head is new: that of "+first+" is for -task classify\n"), true)
	equal(t, strings.Contains(tune(first, "scratch", "classify", "bad good ", "-scratch"), "head"), false)
	changeFile(t, first, configFile, strings.NewReplacer(`"0": "bad"`, `"0": "good"`, `"1": "good"`, `"1": "bad"`).Replace)
	equal(t, strings.Contains(tune(first, "order", "classify", "bad good "), "or in another order: \"good\" \"bad\"\n"), true)
}

// A model that cannot be saved is not said to be: on a disk that is full from an epoch on, the
// last that fitted is named, and there.
func TestUnsavedEpochs(t *testing.T) {
	model := savedDir(t)
	out := filepath.Join(t.TempDir(), "out")
	before := disk.rename
	defer func() { disk.rename = before }()
	for saved := range 2 {
		left := saved
		disk.rename = func(from, to string) error {
			if to == filepath.Join(out, modelFile) {
				if left--; left < 0 {
					return &os.LinkError{Op: "rename", Old: from, New: to, Err: syscall.ENOSPC}
				}
			}
			return before(from, to)
		}
		status, _, stderr := runHere("", "finetune", "-model", model, "-task", "classify", "-train", "task.tsv", "-epochs", "9", "-out", out)
		equal(t, status, exitFailed, stderr)
		equal(t, strings.Contains(stderr, fmt.Sprintf("saved %s, as it was after epoch 1\n", out)), saved == 1, stderr)
		equal(t, strings.Count(stderr, "saved "), saved, stderr)
		equal(t, exists(filepath.Join(out, modelFile)), saved == 1)
	}
}

// The model is left as it was after the best epoch, the last of equally good ones.
func TestBestEpochIsKept(t *testing.T) {
	m, err := NewModel(asClassifier(smallModel(t).Config, "even", "odd"), 1)
	check(t, err)
	scores := []float64{0.5, 0.8, 0.3, 0.8, 0.7}
	var after [][]float32
	var reports []Epoch
	tuner := &Tuner{Model: m, Cases: smallCases(), Settings: TuneSettings(), Epochs: len(scores)}
	tuner.Evaluate = func() float64 {
		after = append(after, slices.Clone(m.Value))
		return scores[len(after)-1]
	}
	tuner.OnEpoch = func(r Epoch) error {
		reports = append(reports, r)
		return nil
	}
	check(t, tuner.Train(t.Context()))
	equal(t, m.Value, after[3])
	var best []bool
	for _, r := range reports {
		best = append(best, r.Best)
	}
	equal(t, best, []bool{true, true, false, true, false})
	if !(reports[4].Loss < reports[0].Loss) {
		t.Errorf("the loss went from %v to %v", reports[0].Loss, reports[4].Loss)
	}
}

// A classifier that Hugging Face has fine-tuned and saved gives its logits here.
func TestHuggingFaceClassifier(t *testing.T) {
	const dir = "testdata/huggingface"
	m, tokenizer, _, err := LoadModel(dir)
	check(t, err)
	equal(t, m.Config.Labels(), []string{"baking", "sea", "other"})
	var cases []struct {
		A, B   string
		IDs    []int32
		Logits []float64
	}
	data, err := os.ReadFile(filepath.Join(dir, "logits.json"))
	check(t, err)
	check(t, json.Unmarshal(data, &cases))
	for _, c := range cases {
		ids, segments, cut := tokenizer.Sequence(c.A, c.B, m.Config.MaxPositionEmbeddings)
		equal(t, ids, c.IDs)
		equal(t, cut, 0)
		logits := m.LogitsOf([]Case{{Tokens: ids, Segments: segments}})[0]
		for i, want := range c.Logits {
			if math.Abs(float64(logits[i])-want) > 1e-5 {
				t.Errorf("%q %q: the logits are %v, Hugging Face's %v", c.A, c.B, logits, c.Logits)
			}
		}
	}
}

// A fine-tuned model is the same after saving and loading, labels and all, and a
// configuration whose head cannot be is refused.
func TestSavedHeads(t *testing.T) {
	dir, pretrained := savedModel(t)
	tokenizer, err := LoadTokenizer(dir)
	check(t, err)
	for _, c := range headTasks(pretrained.Config) {
		m, err := Transfer(pretrained, c, 1, true)
		check(t, err)
		out := filepath.Join(t.TempDir(), "tuned")
		check(t, SaveModel(out, m, tokenizer))
		loaded, _, _, err := LoadModel(out)
		check(t, err)
		equal(t, loaded.Config, m.Config)
		equal(t, loaded.Value, m.Value)
		equal(t, loaded.Config.Task(), c.Task())
	}
	labels := asClassifier(pretrained.Config, "a", "b")
	half := 1.5
	for _, bad := range []struct {
		change func(c *Config)
		want   string
	}{
		{func(c *Config) { c.ID2Label = map[string]string{"0": "a", "2": "b"} }, "id2label has 2 labels, but none for 1"},
		{func(c *Config) { c.ID2Label = map[string]string{"0": "a"} }, "id2label has one label"},
		{func(c *Config) { c.ProblemType = "ranking" }, `problem_type is "ranking"`},
		{func(c *Config) { c.ClassifierDropout = &half }, "classifier_dropout is 1.5"},
	} {
		c := labels
		bad.change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("the error is %v, want one with %q", err, bad.want)
		}
	}
	labels.ID2Label = nil // as Hugging Face leaves out two labels without names
	check(t, labels.Check())
	equal(t, labels.Labels(), []string{"LABEL_0", "LABEL_1"})
}
