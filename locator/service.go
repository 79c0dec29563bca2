package locator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// service is a web service: the question is the query of a GET, the answer the body of a 200. 204 is the answer without contacts.
type service struct {
	url    *url.URL
	client *http.Client
}

func newService(text string) (*service, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("locator: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("locator: %q is not an http or https URL", clip(text))
	}
	return &service{u, &http.Client{
		Transport: &http.Transport{ // Proxy is nil: variables of the environment do not lead questions elsewhere.
			MaxConnsPerHost:        maxRunning,
			MaxIdleConnsPerHost:    maxRunning / 4,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
			DisableCompression:     true, // A small body stays a small body.
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (s *service) close() { s.client.CloseIdleConnections() }

func (s *service) ask(ctx context.Context, q Query) ([]byte, error) {
	u := *s.url
	v := u.Query()
	v.Set("aor", q.AOR)
	v.Set("method", q.Method)
	if q.Caller != "" {
		v.Set("caller", q.Caller)
	}
	u.RawQuery = v.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "sipd")
	req.Header.Set("Accept", "application/json, text/plain")
	resp, err := s.client.Do(req)
	if err != nil {
		var asked *url.Error // It repeats the URL, with the names of callers.
		if errors.As(err, &asked) {
			err = asked.Err
		}
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNoContent:
		return nil, nil
	case http.StatusNotFound:
		return nil, errors.New("it answered 404; of whom it knows nothing it should say so with 204")
	default:
		return nil, fmt.Errorf("it answered %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxOutput+1))
	if len(body) > maxOutput {
		return nil, errTooMuch
	}
	return body, err
}
