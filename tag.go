package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Step 8 of the lesson, a task: a label for each word, such as those that say where a name
// begins and ends (BERT paper, section 5.3). Here are its head, its score and its answers.

func init() {
	taskHeads[tagging] = newTagger
	measures[tagging] = measureTags
}

// Tagger makes C logits for each token that has a label, as the MLM head does for each that
// is masked (Hugging Face's BertForTokenClassification). Of a word it is the first piece
// that has the label.
//
//	logits = Linear(dropout(x))
type Tagger struct {
	dropout *Dropout
	output  *Linear // (H) → (C)
	loss    func(logits []float32, b *Batch) TaskLoss

	targets []int     // (M) rows of x
	rows    []float32 // (M, H)
}

func newTagger(m *Model) TaskHead {
	c := &m.Config
	return &Tagger{
		dropout: m.NewDropout(c.HeadDropout()),
		output:  NewLinear(&m.Parameters, "classifier", c.HiddenSize, c.Outputs()),
		loss:    OneOf(),
	}
}

// Forward: (N, H) → (M, C).
func (l *Tagger) Forward(x []float32, b *Batch) []float32 {
	_, h := l.output.OutIn()
	l.targets, l.rows = b.Targets, GatherRows(l.rows, x, b.Targets, h)
	return l.output.Forward(l.dropout.Forward(l.rows))
}

// Loss is −ln p(label) for each token that has one.
func (l *Tagger) Loss(logits []float32, b *Batch) TaskLoss { return l.loss(logits, b) }

// Backward goes through Forward in reverse.
func (l *Tagger) Backward(dlogits, dx []float32) {
	_, h := l.output.OutIn()
	AddRows(dx, l.dropout.Backward(l.output.Backward(dlogits)), l.targets, h)
}

// A Tagged is a sentence of words, and a label for each.
type Tagged struct {
	Words, Labels []string
	Line          int // of the first
}

// TagsOf are the labels of a list, in the order of the alphabet. If some begin with B- or I-,
// which says that an entity begins or goes on, all have to be of this kind.
func TagsOf(list []Tagged) (labels []string, err error) {
	for _, s := range list {
		labels = append(labels, s.Labels...)
	}
	slices.Sort(labels)
	labels = slices.Compact(labels)
	if len(labels) == 1 {
		return nil, fmt.Errorf("all words have the label %q, want two labels or more", labels[0])
	}
	isPart := func(label string) bool { return strings.HasPrefix(label, "B-") || strings.HasPrefix(label, "I-") }
	if slices.ContainsFunc(labels, isPart) && !AreEntities(labels) {
		odd := slices.IndexFunc(labels, func(label string) bool { return !IsEntityLabel(label) })
		return nil, fmt.Errorf("there are labels that begin with B- or I-, and %q: of entities the labels are O, B-…, I-…, and may be E-… and S-…", labels[odd])
	}
	return labels, CheckNumberOf(labels)
}

// IsEntityLabel tells whether a label says that a word is part of an entity, or of none.
func IsEntityLabel(label string) bool {
	return label == "O" || len(label) > 2 && label[1] == '-' && strings.Contains("BIES", label[:1])
}

// AreEntities tells whether labels are of entities; otherwise each is of a word by itself.
func AreEntities(labels []string) bool {
	return !slices.ContainsFunc(labels, func(label string) bool { return !IsEntityLabel(label) })
}

// TagCases makes cases of tagged sentences. Words that have no token or are cut off with the
// end of their sentence have no label, and are counted. An error numbers sentences by unit.
func TagCases(t *Tokenizer, list []Tagged, unit string, labels []string, maxSeq int) (cases []Case, cut, none int, err error) {
	for _, s := range list {
		var ids []int32
		c := Case{}
		for i, word := range s.Words {
			label, err := NumberOf(s.Labels[i], labels)
			if err != nil {
				return nil, 0, 0, fmt.Errorf("%s %d: %w", unit, s.Line, err)
			}
			switch pieces := t.Encode(word); {
			case len(pieces) == 0:
				none++
			case len(ids) > maxSeq-3:
				cut++
			default:
				c.Targets, c.Labels = append(c.Targets, 1+len(ids)), append(c.Labels, label)
				ids = append(ids, pieces...)
			}
		}
		c.Tokens, c.Segments = t.Pair(ids[:min(len(ids), maxSeq-2)], nil)
		if len(c.Targets) > 0 {
			cases = append(cases, c)
		}
	}
	return cases, cut, none, nil
}

// An Entity is some words in a row that are one thing of a type: words[Begin:End].
type Entity struct {
	Type       string
	Begin, End int
}

// Entities are those that the labels of some words in a row say, read with lenience, as
// conlleval and seqeval do: one begins with B- or S-, and also with I- or E- if the word
// before is no part of it, that is O, of another type, or the end of one.
func Entities(labels []string) (all []Entity) {
	before, typeBefore := "O", ""
	for i, label := range labels {
		part, kind, _ := strings.Cut(label, "-")
		switch {
		case part == "O":
		case part == "B" || part == "S" || before == "O" || before == "E" || before == "S" || kind != typeBefore:
			all = append(all, Entity{kind, i, i + 1})
		default:
			all[len(all)-1].End = i + 1
		}
		before, typeBefore = part, kind
	}
	return all
}

// TagScore is how well words are labelled.
type TagScore struct {
	Count     int          `json:"count"` // of sentences
	Words     int          `json:"words"`
	Accuracy  float64      `json:"accuracy"`            // of words
	Precision float64      `json:"precision,omitempty"` // of entities: the right words, all of them, and the type
	Recall    float64      `json:"recall,omitempty"`
	F1        float64      `json:"f1"`     // where the labels are not of entities, the mean of those that come up
	Labels    []LabelScore `json:"labels"` // of each type of entity, or each label
	entities  bool
}

// Main is the F1 of entities, and otherwise the accuracy.
func (s *TagScore) Main() (float64, string) {
	if s.entities {
		return s.F1, "F1"
	}
	return s.Accuracy, "accuracy"
}

// measureTags counts the entities as seqeval does. What is no entity is counted word by word.
func measureTags(c *Config, cases []Case, logits [][]float32) Score {
	labels, table := c.Labels(), NewConfusion(c.Outputs())
	hits, given, right := map[string]int{}, map[string]int{}, map[string]int{} // "" is all types
	count := func(of map[string]int, e Entity) { of[e.Type]++; of[""]++ }
	for i := range cases {
		var found, wanted []string
		for k, row := range rowsOf(logits[i], len(labels)) {
			table[cases[i].Labels[k]][argmax(row)]++
			found, wanted = append(found, labels[argmax(row)]), append(wanted, labels[cases[i].Labels[k]])
		}
		entities := Entities(wanted)
		for _, e := range entities {
			count(right, e)
		}
		for _, e := range Entities(found) {
			count(given, e)
			if slices.Contains(entities, e) {
				count(hits, e)
			}
		}
	}
	words := table.ClassScore(labels)
	s := &TagScore{Count: len(cases), Words: words.Count, Accuracy: words.Accuracy, F1: words.MacroF1, Labels: words.Labels, entities: AreEntities(labels)}
	if !s.entities {
		return s
	}
	all := NewLabelScore("", hits[""], given[""], right[""])
	s.Precision, s.Recall, s.F1, s.Labels = all.Precision, all.Recall, all.F1, nil
	for _, kind := range entityTypes(labels) {
		s.Labels = append(s.Labels, NewLabelScore(kind, hits[kind], given[kind], right[kind]))
	}
	return s
}

// rowsOf are the rows of logits, each of n.
func rowsOf(logits []float32, n int) [][]float32 {
	return slices.Collect(slices.Chunk(logits, n))
}

// entityTypes are the types that labels of entities have.
func entityTypes(labels []string) (types []string) {
	for _, label := range labels {
		if _, kind, ok := strings.Cut(label, "-"); ok {
			types = append(types, kind)
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// A Found is what the model has found in a text: text[Start:End] in characters.
type Found struct {
	Label string  `json:"label"`
	Text  string  `json:"text"`
	Start int     `json:"start"`
	End   int     `json:"end"`
	Score float32 `json:"score"` // how probable its words' labels are, on average
}

// Tag returns what is found in each of some passages, which the batch has. A word is here
// what the tokenizer takes for one; where the labels are not of entities, each has its own.
func (m *Model) Tag(t *Tokenizer, b *Batch, passages []*Passage) [][]Found {
	m.NoDropout()
	labels, entities := m.Config.Labels(), AreEntities(m.Config.Labels())
	b.Targets = b.Targets[:0]
	words := make([][]Span, len(passages)) // of each passage, in its text
	for i, p := range passages {
		for k := range b.Starts[i+1] - b.Starts[i] - 2 { // but for [CLS] and [SEP]
			if strings.HasPrefix(t.Vocabulary[p.ids[k]], continuing) && len(words[i]) > 0 {
				words[i][len(words[i])-1].End = p.spans[k].End
				continue
			}
			words[i] = append(words[i], p.spans[k])
			b.Targets = append(b.Targets, b.Starts[i]+1+k)
		}
	}
	logits := m.head.Forward(m.Encode(b), b)
	all := make([][]Found, len(passages))
	for i, p := range passages {
		var given []string
		var sure []float32
		for _, row := range rowsOf(logits[:len(words[i])*len(labels)], len(labels)) {
			best := argmax(row)
			given, sure = append(given, labels[best]), append(sure, Softmax(row, 1)[best])
		}
		logits = logits[len(words[i])*len(labels):]
		found := Entities(given)
		if !entities {
			found = nil
			for k, label := range given {
				found = append(found, Entity{label, k, k + 1})
			}
		}
		for _, e := range found {
			all[i] = append(all[i], p.found(e, words[i], sure))
		}
	}
	return all
}

// found is an entity in its passage.
func (p *Passage) found(e Entity, words []Span, sure []float32) Found {
	bytes := Span{words[e.Begin].Begin, words[e.End-1].End}
	f := Found{Label: e.Type, Text: p.Text[bytes.Begin:bytes.End], Start: utf8.RuneCountInString(p.Text[:bytes.Begin])}
	f.End = f.Start + utf8.RuneCountInString(f.Text)
	for _, s := range sure[e.Begin:e.End] {
		f.Score += s / float32(e.End-e.Begin)
	}
	return f
}
