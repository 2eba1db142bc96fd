package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Step 5 of the lesson, examples in a file: a JSON object a line, with the names that
// Google's create_pretraining_data.py has.

// ReadExamples reads examples in JSON lines, as WriteExamples writes them, for a
// vocabulary of vocabSize words.
func ReadExamples(r io.Reader, vocabSize int) ([]Example, error) {
	var examples []Example
	decoder := json.NewDecoder(r)
	for {
		var e Example
		if err := decoder.Decode(&e); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("example %d: %w", len(examples)+1, err)
		}
		if err := e.check(vocabSize); err != nil {
			return nil, fmt.Errorf("example %d: %w", len(examples)+1, err)
		}
		examples = append(examples, e)
	}
	if len(examples) == 0 {
		return nil, errors.New("there is no example in it")
	}
	return examples, nil
}

// check returns an error that names the first field with an impossible value.
func (e *Example) check(vocabSize int) error {
	if len(e.Tokens) == 0 {
		return errors.New("input_ids is empty")
	}
	inVocabulary := func(id int32) bool { return id >= 0 && int(id) < vocabSize }
	for _, id := range e.Tokens {
		if !inVocabulary(id) {
			return fmt.Errorf("input_ids has %d, want 0 to %d", id, vocabSize-1)
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
			return fmt.Errorf("masked_lm_ids has %d, want 0 to %d", id, vocabSize-1)
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

// WriteExamples writes examples, one JSON object a line.
func WriteExamples(w io.Writer, examples []Example, t *Tokenizer) error {
	encoder := json.NewEncoder(w)
	for _, e := range examples {
		e.Strings = t.Tokens(e.Tokens)
		if err := encoder.Encode(e); err != nil {
			return err
		}
	}
	return nil
}

// LoadExamples reads a file of examples for a model.
func LoadExamples(name string, m *Model) (list []Example, err error) {
	if name == "-" {
		return nil, errors.New("examples are read more than once, so they have to be in a file, not on standard input")
	}
	if err = readFile(name, nil, func(r io.Reader) (err error) {
		list, err = ReadExamples(bufio.NewReader(r), m.Config.VocabSize)
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
