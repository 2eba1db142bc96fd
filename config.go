package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Step 2 of the lesson, first of all: what is fixed before a model learns anything. How
// large it is, and what it is for.

// What a model is for, by Hugging Face's names: its architecture, and which of three
// problems a classification is.
const (
	preTraining    = "BertForPreTraining"
	classification = "BertForSequenceClassification"
	tagging        = "BertForTokenClassification"
	answering      = "BertForQuestionAnswering"

	oneLabel      = "single_label_classification"
	severalLabels = "multi_label_classification"
	aNumber       = "regression"
)

// problems are the problems of a classification.
var problems = []string{oneLabel, severalLabels, aNumber}

// Config is a model's config.json, with Hugging Face's names.
type Config struct {
	Architectures         []string `json:"architectures"`
	ModelType             string   `json:"model_type"`
	VocabSize             int      `json:"vocab_size"`
	HiddenSize            int      `json:"hidden_size"`
	NumHiddenLayers       int      `json:"num_hidden_layers"`
	NumAttentionHeads     int      `json:"num_attention_heads"`
	IntermediateSize      int      `json:"intermediate_size"`
	MaxPositionEmbeddings int      `json:"max_position_embeddings"`
	TypeVocabSize         int      `json:"type_vocab_size"`
	HiddenAct             string   `json:"hidden_act"`
	HiddenDropout         float64  `json:"hidden_dropout_prob"`
	AttentionDropout      float64  `json:"attention_probs_dropout_prob"`
	InitializerRange      float64  `json:"initializer_range"`
	LayerNormEps          float64  `json:"layer_norm_eps"`
	PadTokenID            int      `json:"pad_token_id"`
	Tied                  *bool    `json:"tie_word_embeddings,omitempty"` // read, and not written: nil is true

	// Of a model with labels alone (step 8).
	NumLabels         int            `json:"num_labels,omitempty"` // of labels without names
	ID2Label          labelNames     `json:"id2label,omitempty"`
	Label2ID          map[string]int `json:"label2id,omitempty"`
	ClassifierDropout *float64       `json:"classifier_dropout,omitempty"` // nil: hidden_dropout_prob
	ProblemType       string         `json:"problem_type,omitempty"`
}

// DefaultConfig is what the sizes of a model leave open.
func DefaultConfig() Config {
	return Config{
		Architectures:         []string{preTraining},
		ModelType:             "bert",
		MaxPositionEmbeddings: 512,
		TypeVocabSize:         2,
		HiddenAct:             "gelu",
		HiddenDropout:         0.1,
		AttentionDropout:      0.1,
		InitializerRange:      0.02,
		LayerNormEps:          1e-12,
	}
}

// sizes are the published models by name: layers, hidden size, heads.
var sizes = map[string][3]int{
	"tiny":   {2, 128, 2},
	"mini":   {4, 256, 4},
	"small":  {4, 512, 8},
	"medium": {8, 512, 8},
	"base":   {12, 768, 12},
	"large":  {24, 1024, 16},
}

// SetSize sets layers, hidden size and heads, and makes the intermediate size four times
// the hidden size, as it is in all published models.
func (c *Config) SetSize(size [3]int) {
	c.NumHiddenLayers, c.HiddenSize, c.NumAttentionHeads = size[0], size[1], size[2]
	c.IntermediateSize = 4 * c.HiddenSize
}

// Epsilon is what LayerNorm adds to a variance.
func (c *Config) Epsilon() float32 { return float32(c.LayerNormEps) }

// Architecture is what a model with this configuration is for. What is none of
// the tasks is read as a model to train on: all have the same encoder.
func (c *Config) Architecture() string {
	for _, name := range c.Architectures {
		if name == classification || name == tagging || name == answering {
			return name
		}
	}
	return preTraining
}

// Task is what the head of a fine-tuned model is made for: the problem of a
// classification, otherwise its architecture. As in Hugging Face a classification is by
// itself of one label out of several, and with a single one it is a number.
func (c *Config) Task() string {
	switch architecture := c.Architecture(); {
	case architecture != classification:
		return architecture
	case c.ProblemType != "":
		return c.ProblemType
	case len(c.Labels()) == 1:
		return aNumber
	}
	return oneLabel
}

// labelNames are labels by their numbers. In a file they may be numbers too, or true and
// false, which are labels as they stand there.
type labelNames map[string]string

// UnmarshalJSON reads them.
func (l *labelNames) UnmarshalJSON(data []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil || raw == nil {
		return err
	}
	*l = labelNames{}
	for id, label := range raw {
		name := string(label)
		if name == "" || name[0] == '"' {
			if err := json.Unmarshal(label, &name); err != nil {
				return err
			}
		}
		(*l)[id] = name
	}
	return nil
}

// SetTask makes the configuration that of a model for a task with these labels.
func (c *Config) SetTask(task string, labels []string) {
	c.Architectures, c.ProblemType = []string{task}, ""
	if slices.Contains(problems, task) {
		c.Architectures, c.ProblemType = []string{classification}, task
	}
	c.NumLabels, c.ID2Label = 0, nil
	if len(labels) > 0 {
		c.ID2Label = labelNames{}
	}
	for i, label := range labels {
		c.ID2Label[strconv.Itoa(i)] = label
	}
	c.SetIDs()
}

// SetIDs makes label2id from id2label.
func (c *Config) SetIDs() {
	c.Label2ID = nil
	if len(c.ID2Label) > 0 {
		c.Label2ID = map[string]int{}
	}
	for i := range len(c.ID2Label) {
		c.Label2ID[c.ID2Label[strconv.Itoa(i)]] = i
	}
}

// Labels are the labels of a model that has such. Where they have no names they are LABEL_0
// and so on, as in Hugging Face, num_labels of them or two.
func (c *Config) Labels() []string {
	n := len(c.ID2Label)
	if n == 0 {
		n = cmp.Or(c.NumLabels, 2)
	}
	labels := make([]string, n)
	for i := range labels {
		labels[i] = fmt.Sprint("LABEL_", i)
		if len(c.ID2Label) > 0 {
			labels[i] = c.ID2Label[strconv.Itoa(i)]
		}
	}
	return labels
}

// Outputs is how many logits the head of a fine-tuned model has for each of its rows: one
// for each label, or one for the beginning of an answer and one for its end.
func (c *Config) Outputs() int {
	if c.Architecture() == answering {
		return 2
	}
	return len(c.Labels())
}

// maxLabels is as many labels as a classifier may have: the table of what was taken for
// what is as large as their square.
const maxLabels = 1000

// HeadDropout points to the rate of the dropout before the head of a model with labels.
func (c *Config) HeadDropout() *float64 {
	if c.ClassifierDropout != nil {
		return c.ClassifierDropout
	}
	return &c.HiddenDropout
}

// maxVocabulary is as many words as there may be: LaBSE, for 109 languages, has 501,153.
const maxVocabulary = 1 << 20

// Check returns an error that names the first field with an impossible value.
func (c *Config) Check() error {
	if c.ModelType != "" && c.ModelType != "bert" {
		return fmt.Errorf("model_type is %q, want \"bert\"", c.ModelType)
	}
	for _, f := range []struct {
		name       string
		value, max int
	}{
		{"vocab_size", c.VocabSize, maxVocabulary},
		{"hidden_size", c.HiddenSize, 1 << 16},
		{"num_hidden_layers", c.NumHiddenLayers, 1 << 10},
		{"num_attention_heads", c.NumAttentionHeads, 1 << 12},
		{"intermediate_size", c.IntermediateSize, 1 << 18},
		{"max_position_embeddings", c.MaxPositionEmbeddings, 1 << 20},
		{"type_vocab_size", c.TypeVocabSize, 1 << 10},
	} {
		if f.value < 1 || f.value > f.max {
			return fmt.Errorf("%s is %d, want 1 to %d", f.name, f.value, f.max)
		}
	}
	for _, f := range []struct {
		name  string
		value float64
	}{
		{"hidden_dropout_prob", c.HiddenDropout},
		{"attention_probs_dropout_prob", c.AttentionDropout},
		{"initializer_range", c.InitializerRange},
		{"layer_norm_eps", c.LayerNormEps},
	} {
		if !(f.value >= 0 && f.value < 1) {
			return fmt.Errorf("%s is %v, want at least 0 and below 1", f.name, f.value)
		}
	}
	switch {
	case c.HiddenSize%c.NumAttentionHeads != 0:
		return fmt.Errorf("hidden_size %d is not a multiple of num_attention_heads %d", c.HiddenSize, c.NumAttentionHeads)
	case c.TypeVocabSize < 2:
		return fmt.Errorf("type_vocab_size is %d, want 2 or more: a sentence is A or B", c.TypeVocabSize)
	case ActivationFunctions[c.HiddenAct].Forward == nil:
		return fmt.Errorf("hidden_act is %q, want one of %q", c.HiddenAct, slices.Sorted(maps.Keys(ActivationFunctions)))
	}
	return c.checkHead()
}

// checkHead is the part of Check about the head of a fine-tuned model.
func (c *Config) checkHead() error {
	if architecture := c.Architecture(); architecture != classification && architecture != tagging {
		return nil
	}
	numbers := map[string]int{}
	for i := range len(c.ID2Label) {
		label, ok := c.ID2Label[strconv.Itoa(i)]
		if !ok {
			return fmt.Errorf("id2label has %d labels, but none for %d", len(c.ID2Label), i)
		}
		if other, ok := numbers[label]; ok {
			return fmt.Errorf("id2label has %q for %d and for %d, want a label of its own for each", label, other, i)
		}
		numbers[label] = i
	}
	if c.NumLabels < 0 || c.NumLabels > maxLabels {
		return fmt.Errorf("num_labels is %d, want 2 to %d", c.NumLabels, maxLabels)
	}
	switch p := *c.HeadDropout(); {
	case c.Architecture() == classification && !slices.Contains(problems, c.Task()):
		return fmt.Errorf("problem_type is %q, want one of %q", c.ProblemType, problems)
	case len(c.Labels()) == 1 && (c.Task() == oneLabel || c.Task() == tagging):
		return fmt.Errorf("id2label has one label, want two or more")
	case !(p >= 0 && p < 1):
		return fmt.Errorf("classifier_dropout is %v, want at least 0 and below 1", p)
	}
	return nil
}

// Parameters is how many numbers a model of this configuration learns, which may be
// too many for an int. (TestParameterCount holds it against the list that a model makes.)
func (c *Config) Parameters() int64 {
	v, h, i := int64(c.VocabSize), int64(c.HiddenSize), int64(c.IntermediateSize)
	linear := func(in, out int64) int64 { return in*out + out }
	norm := 2 * h
	embeddings := (v+int64(c.MaxPositionEmbeddings)+int64(c.TypeVocabSize))*h + norm
	layer := 4*linear(h, h) + linear(h, i) + linear(i, h) + 2*norm
	encoder := embeddings + int64(c.NumHiddenLayers)*layer
	pooler := linear(h, h)
	switch c.Architecture() {
	case classification:
		return encoder + pooler + linear(h, int64(c.Outputs()))
	case tagging, answering:
		return encoder + linear(h, int64(c.Outputs()))
	}
	mlm := linear(h, h) + norm + v // the decoder's matrix is the word embeddings
	return encoder + pooler + mlm + linear(h, 2)
}
