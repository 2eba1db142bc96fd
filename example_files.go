package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
)

// Step 5 of the lesson, examples in a file: a JSON object a line, with the names that
// Google's create_pretraining_data.py has, or those that Hugging Face's models take.

// A denseExample is an example as Hugging Face's models take it: each token has a label, which
// is the token that was there, or notGuessed.
type denseExample struct {
	Tokens    []int32 `json:"input_ids"`
	Segments  []int32 `json:"token_type_ids"`
	Attention []int32 `json:"attention_mask"` // 1: no token is padding
	Labels    []int32 `json:"labels"`
	NextLabel int32   `json:"next_sentence_label"`
}

const notGuessed = -100

// exampleFields are those that are read, and idleFields, of Hugging Face's tokenizers and data
// sets, those that change nothing. What else there may be says something that is not known here:
// weights, padding, other positions.
var (
	exampleFields = []string{"tokens", "input_ids", "token_type_ids", "masked_lm_positions", "masked_lm_ids", "attention_mask", "labels", "next_sentence_label"}
	idleFields    = []string{"special_tokens_mask", "offset_mapping", "overflow_to_sample_mapping", "length", "word_ids", "id", "idx"}
)

// checkFields returns an error that names a field that is not known or stands there twice, or one
// without which there would be a 0 that nobody has written. The line is known to be an object.
func checkFields(line json.RawMessage) error {
	decoder, seen := json.NewDecoder(bytes.NewReader(line)), map[json.Token]bool{}
	decoder.Token() // {
	for decoder.More() {
		var value json.RawMessage
		name, _ := decoder.Token()
		decoder.Decode(&value)
		switch {
		case slices.Contains(idleFields, name.(string)):
		case !slices.Contains(exampleFields, name.(string)):
			return fmt.Errorf("the field %q is not known, want %s", name, strings.Join(exampleFields, ", "))
		case seen[name]:
			return fmt.Errorf("%s stands there twice, want it once", name)
		case name != "tokens" && bytes.Contains(value, []byte("null")):
			return fmt.Errorf("%s has null, want numbers", name)
		}
		seen[name] = true
	}
	if !seen["next_sentence_label"] {
		return errors.New("next_sentence_label is missing, want 0 where B follows A, otherwise 1")
	}
	return nil
}

// dense makes one of an example.
func (e *Example) dense() denseExample {
	d := denseExample{Tokens: e.Tokens, Segments: e.Segments, NextLabel: e.NextLabel}
	for range e.Tokens {
		d.Attention, d.Labels = append(d.Attention, 1), append(d.Labels, notGuessed)
	}
	for i, at := range e.Targets {
		d.Labels[at] = e.Labels[i]
	}
	return d
}

// takeDense takes the targets from such labels, which have to be the only ones.
func (e *Example) takeDense(d *denseExample) error {
	switch {
	case slices.Contains(d.Attention, 0):
		return errors.New("attention_mask has 0, want examples without padding")
	case len(d.Labels) == 0:
		return nil
	case len(e.Targets)+len(e.Labels) > 0:
		return errors.New("it has labels and also masked_lm_positions or masked_lm_ids, want one or the other")
	case len(d.Labels) != len(e.Tokens):
		return fmt.Errorf("labels has %d numbers, want %d as input_ids", len(d.Labels), len(e.Tokens))
	}
	for i, label := range d.Labels {
		if label != notGuessed {
			e.Targets, e.Labels = append(e.Targets, int32(i)), append(e.Labels, label)
		}
	}
	return nil
}

// ReadExamples reads examples in JSON lines, as WriteExamples writes them, for a vocabulary.
func ReadExamples(r io.Reader, vocabulary []string) ([]Example, error) {
	var examples []Example
	decoder := json.NewDecoder(r)
	for {
		var line json.RawMessage
		var e Example
		var dense denseExample
		err := decoder.Decode(&line)
		if err == io.EOF {
			break
		}
		if err == nil {
			err = cmp.Or(json.Unmarshal(line, &e), json.Unmarshal(line, &dense)) // whichever it is, both read it
		}
		if err == nil {
			err = checkFields(line)
		}
		if err == nil {
			err = e.takeDense(&dense)
		}
		if err == nil {
			err = e.check(vocabulary)
		}
		if err != nil {
			return nil, fmt.Errorf("example %d: %w", len(examples)+1, err)
		}
		examples = append(examples, e)
	}
	if len(examples) == 0 {
		return nil, errors.New("there is no example in it")
	}
	return examples, nil
}

// check returns an error that names the first field with an impossible value. Words that the
// vocabulary has for other ids tell that the example was made with another.
func (e *Example) check(vocabulary []string) error {
	if len(e.Tokens) == 0 {
		return errors.New("input_ids is empty")
	}
	inVocabulary := func(id int32) bool { return id >= 0 && int(id) < len(vocabulary) }
	for _, id := range e.Tokens {
		if !inVocabulary(id) {
			return fmt.Errorf("input_ids has %d, want 0 to %d as in the vocabulary", id, len(vocabulary)-1)
		}
	}
	if n := len(e.Strings); n > 0 && n != len(e.Tokens) {
		return fmt.Errorf("tokens has %d words, want %d as input_ids", n, len(e.Tokens))
	}
	for i, token := range e.Strings {
		if id := e.Tokens[i]; token != vocabulary[id] {
			return fmt.Errorf("tokens has %q for the id %d, the vocabulary %q: the example was made with another vocabulary", token, id, vocabulary[id])
		}
	}
	for _, s := range e.Segments {
		if s != 0 && s != 1 {
			return fmt.Errorf("token_type_ids has %d, want 0 or 1", s)
		}
	}
	for i, p := range e.Targets {
		if p < 0 || int(p) >= len(e.Tokens) || i > 0 && p <= e.Targets[i-1] {
			return fmt.Errorf("masked_lm_positions has %d, want rising numbers from 0 to %d", p, len(e.Tokens)-1)
		}
	}
	for _, id := range e.Labels {
		if !inVocabulary(id) {
			return fmt.Errorf("masked_lm_ids has %d, want 0 to %d as in the vocabulary", id, len(vocabulary)-1)
		}
	}
	switch {
	case len(e.Segments) != len(e.Tokens):
		return fmt.Errorf("token_type_ids has %d numbers, want %d as input_ids", len(e.Segments), len(e.Tokens))
	case len(e.Targets) == 0 || len(e.Labels) != len(e.Targets):
		return fmt.Errorf("masked_lm_positions has %d numbers and masked_lm_ids %d, want as many, at least one", len(e.Targets), len(e.Labels))
	case e.NextLabel != 0 && e.NextLabel != 1:
		return fmt.Errorf("next_sentence_label is %d, want 0 or 1", e.NextLabel)
	}
	return nil
}

// WriteExamples writes examples, one JSON object a line, with Google's names or, dense, with
// Hugging Face's.
func WriteExamples(w io.Writer, examples iter.Seq[Example], t *Tokenizer, dense bool) (err error) {
	encoder := json.NewEncoder(w)
	for e := range examples {
		if dense {
			err = encoder.Encode(e.dense())
		} else {
			e.Strings = t.Tokens(e.Tokens)
			err = encoder.Encode(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// LoadExamples reads a file of examples for a model and its tokenizer.
func LoadExamples(name string, m *Model, t *Tokenizer) (list []Example, err error) {
	if name == "-" {
		return nil, errors.New("examples are read more than once, so they have to be in a file, not on standard input")
	}
	if err = readFile(name, nil, func(r io.Reader) (err error) {
		list, err = ReadExamples(bufio.NewReader(r), t.Vocabulary)
		return err
	}); err != nil {
		return nil, err
	}
	for i, e := range list {
		if len(e.Tokens) > m.Config.MaxPositionEmbeddings {
			return nil, fmt.Errorf("%s: example %d has %d tokens, the model has %d positions", name, i+1, len(e.Tokens), m.Config.MaxPositionEmbeddings)
		}
	}
	return list, nil
}
